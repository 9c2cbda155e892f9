"""A guest's disk is an overlay with a key of its own; its raw bytes show nothing of guest or image."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import MonotonicClock
from harness.errors import RecordError, StorageError, UsageError
from harness.pvi.factory import ledger
from harness.pvi.images import masters, overlays, qemu_img
from harness.pvi.images.manifest import DISK
from harness.pvi.images.qemu_img import Disk
from tests.pvi.factory.places import VM, KilledError
from tests.pvi.images.conftest import CANARY, Imported

pytestmark = pytest.mark.programs

CLOCK = MonotonicClock()
OWN = b"a canary of the guest, which it wrote to its disk"
AT_BYTES = 12 * 2**20


def _guest_writes(disk: Disk, scratch: Path) -> None:
    """Write the guest's canary, as QEMU does for a guest."""
    text = scratch / "text"
    text.write_bytes(OWN.ljust(512, b"\0"))
    keys: dict[str, bytes] = {}
    options = qemu_img.image_options(disk, keys)
    with qemu_img.secret_objects(keys) as (objects, descriptors):
        command = ["qemu-io", *objects, "--image-opts", "-c", f"write -s {text} {AT_BYTES} 512", options]
        done = subprocess.run(
            command, pass_fds=descriptors, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "wrote 512/512 bytes" in done.stdout


def _all_bytes(*folders: Path) -> bytes:
    return b"".join(one.read_bytes() for each in folders for one in each.rglob("*") if one.is_file())


def test_no_canary_is_in_the_raw_bytes_and_both_are_read_with_the_keys(
    imported: Imported, tmp_path: Path
) -> None:
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        given = overlays.give(factory, master, VM, CLOCK)
        whole = given.disk(masters.key(factory, master))
    assert given.formatted is not None, "the pool was empty"
    _guest_writes(whole, tmp_path)
    stored = _all_bytes(imported.place.folder)
    assert CANARY not in stored
    assert OWN not in stored
    assert given.key not in stored
    qemu_img.plain(whole, tmp_path / "seen")
    seen = (tmp_path / "seen").read_bytes()
    assert CANARY in seen
    assert seen[AT_BYTES : AT_BYTES + len(OWN)] == OWN
    other = Disk(path=whole.path, key=masters.new_key(), backing=whole.backing)
    with pytest.raises(StorageError):
        qemu_img.plain(other, tmp_path / "refused")
    with imported.place.open() as factory:
        assert masters.opened(factory, "web").manifest == imported.manifest, "the master is not written to"


def test_without_encryption_both_canaries_are_in_the_raw_bytes(imported: Imported, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    base, overlay = folder / "base", folder / "overlay"
    os.link(imported.source, base)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", str(overlay)]
    subprocess.run(command, check=True, timeout=60)
    _guest_writes(Disk(path=overlay, backing=Disk(path=base, format="raw")), tmp_path)
    stored = _all_bytes(folder)
    assert CANARY in stored
    assert OWN in stored


def test_a_disk_from_the_pool_waits_for_no_formatting(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        filled = [*overlays.fill(factory, master, 2, CLOCK)]
        assert len(filled) == overlays.kept(factory, master) == 2
        assert all(one.took_ns > 0 for one in filled)
        assert [*overlays.fill(factory, master, 2, CLOCK)] == []
        monkeypatch.setattr(qemu_img, "create", _unwanted)
        first = overlays.give(factory, master, VM, CLOCK)
        second = overlays.give(factory, master, VM.replace("1", "2"), CLOCK)
        assert overlays.kept(factory, master) == 0
    assert first.formatted is None
    assert second.formatted is None
    assert first.key != second.key
    assert first.folder != second.folder
    said = imported.place.log.bodies[-2]
    assert (said["does"], said["guest"], said["image"]) == ("disk", VM, "web")
    assert first.key.decode() not in str(imported.place.log.bodies)


def _unwanted(*_arguments: object, **_named: object) -> None:
    raise AssertionError("a disk was formatted in the path")


def _killed(*_arguments: object, **_named: object) -> None:
    raise KilledError


def test_a_guest_has_one_disk_however_often_the_factory_is_killed(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        assert len([*overlays.fill(factory, master, 1, CLOCK)]) == 1
        with monkeypatch.context() as patch:
            patch.setattr(type(factory), "take", _killed)
            with pytest.raises(KilledError):
                overlays.give(factory, master, VM, CLOCK)
        other = replace(master, manifest=master.manifest.model_copy(update={"name": "db"}))
        with pytest.raises(UsageError, match="lies on another image"):
            overlays.give(factory, other, VM, CLOCK)
        given = overlays.give(factory, master, VM, CLOCK)
        assert given.formatted is None
        with pytest.raises(UsageError, match="has a disk already"):
            overlays.give(factory, master, VM, CLOCK)
    assert [one["does"] for one in imported.place.log.bodies].count("disk") == 1


def test_what_was_killed_in_formatting_is_cleared(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = imported.place.folder / "pool/web/1"
    (pool / ".0123456789abcdef.partial").mkdir(parents=True)
    monkeypatch.setattr(qemu_img, "create", _killed)
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        assert overlays.kept(factory, master) == 0
        with pytest.raises(KilledError):
            next(overlays.fill(factory, master, 1, CLOCK))
    assert [*pool.iterdir()] == []


def test_no_guest_and_no_endless_pool(imported: Imported) -> None:
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        for wrong in ("", "../x", VM.upper()):
            with pytest.raises(UsageError, match="no UUID"):
                overlays.give(factory, master, wrong, CLOCK)
        with pytest.raises(UsageError, match="at most"):
            next(overlays.fill(factory, master, overlays.MOST_KEPT + 1, CLOCK))


def test_a_disk_without_its_key_is_not_given_out(imported: Imported) -> None:
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        (imported.place.folder / overlays.GIVEN / VM).mkdir(parents=True)
        with pytest.raises(RecordError):
            overlays.give(factory, master, VM, CLOCK)
    assert not (imported.place.folder / overlays.GIVEN / VM / DISK).exists()
    assert ledger.STATE in {one.name for one in imported.place.folder.iterdir()}
