"""Checks of how guests are known and what they start from: each is removed once, and its attack succeeds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from harness.errors import GuestError, InventoryError
from harness.evidence import inflate
from harness.rig import pair
from harness.rig.guest import domain, host_key, snapshot
from harness.rig.guest.kind import STANDARD
from harness.rig.pair import Endpoint
from tests.evidence.test_pages import lying, written
from tests.rig.test_guest_keys import LONGER, OTHER
from tests.rig.test_saved_digest import Saved
from tests.security.removed import Attack, Removed, require_needed


def page_that_lies(_folder: Path) -> bool:
    """A page says that it becomes a megabyte, in a column of a few kilobytes."""
    content = written(compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    try:
        list(inflate.csv(io.BytesIO(lying(content, column.data_page_offset, 1_000_000))))
    except ValueError as error:
        return "longer than its column says" in str(error)
    except OSError:
        return False  # inflated, and found to be something else
    return False


def changed_saved_guest(folder: Path) -> bool:
    """Who writes to the storage changes the memory of a saved guest."""
    saved = Saved(folder, STANDARD)
    (saved.folder / "state").write_text("another")
    try:
        saved.restore()
    except GuestError:
        return saved.libvirt.restored == []
    return False


def foreign_saved_guest(folder: Path) -> bool:
    """Who writes to the storage puts a saved guest where the controller has none."""
    saved = Saved(folder, STANDARD)
    saved.kept = type(saved.kept)(folder / "nothing is kept")
    return not saved.exists()


def key_that_is_none(_folder: Path) -> bool:
    """A console tells a key of another length, at which the SSH library fails in a way of its own."""
    return host_key.told(LONGER) is None


def key_in_a_line(_folder: Path) -> bool:
    """A user of the guest has the console print a key within another line."""
    return host_key.told(f"a mail says: sodbench-host-key {OTHER}\n") is None


def earlier_console(folder: Path) -> bool:
    """A console that an earlier guest left tells that guest's key, which its root may have kept."""
    spec = Saved(folder, STANDARD).spec
    Path(spec.console).write_text("an earlier guest's")
    ran: list[str] = []
    host = cast(Any, type("Host", (), {"role": "a", "run": lambda _self, command: ran.append(command)})())
    connection = cast(Any, type("Libvirt", (), {"start": lambda _self, _xml: None})())
    domain.boot(connection, host, replace(spec, digests={}))
    return any("rm -f" in command and "console.log" in command for command in ran)


def one_key_for_all(folder: Path) -> bool:
    """The inventory names the key of its hosts for guests as well."""
    machines: Mapping[str, Endpoint] = {"a": Endpoint(role="a", address="a", user="root", key=folder / "id")}
    try:
        pair._guest_key(Path("id"), folder, machines)
    except InventoryError:
        return True
    return False


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=inflate._honest, check="pages.require_honest(columns, column)", by="pass"),
        page_that_lies,
    ),
    (
        Removed(function=snapshot.restore, check="_require_saved(host, spec, folder, kept)", by="pass"),
        changed_saved_guest,
    ),
    (Removed(function=snapshot.exists, check="not kept.of(_name(folder))", by="False"), foreign_saved_guest),
    (
        Removed(
            function=host_key.told, check="_LINE.search", by='re.compile("sodbench-host-key ssh.*").search'
        ),
        key_in_a_line,
    ),
    (
        Removed(
            function=host_key.told, check="_LINE.search", by='re.compile("sodbench-host-key ssh.*").search'
        ),
        key_that_is_none,
    ),
    (Removed(function=domain.boot, check=" && rm -f {shlex.quote(spec.console)}", by=""), earlier_console),
    (Removed(function=pair._guest_key, check="if shared:", by="if False:"), one_key_for_all),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
