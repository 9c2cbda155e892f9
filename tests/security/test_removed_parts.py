"""Bounds on the parts of JSON that comes in files: each is removed once, and its attack succeeds."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness import json_form
from harness.attest.evidence import RefusedError
from harness.attest.measures import line
from harness.errors import AlteredError, RecordError, SodbenchError
from harness.evidence import archive, signature
from harness.pvi import event_log, package, report
from tests.security.removed import Attack, Removed, require_needed

PARTS = b"{" + b",".join(b'"%d":[]' % number for number in range(20_000)) + b"}"


def parts_of_a_report(_folder: Path) -> bool:
    """A probe sends keys without an end in the place of its report; each costs a complaint of 3 kB."""
    posed = report.pose("00000000-0000-0000-0000-000000000000", "a", 1, now_ns=0)
    try:
        report.open_report(PARTS, posed, cast(Any, None), now_ns=0, consume=lambda _nonce: True)
    except RefusedError as error:
        return "parts" in error.why
    return False


def parts_of_a_package(_folder: Path) -> bool:
    """Who carries a package exchanges it for keys without an end."""
    try:
        package.read(PARTS, ec.generate_private_key(ec.SECP256R1()).public_key(), where="package")
    except AlteredError as error:
        return "parts" in error.why
    return False


def parts_of_a_signature(folder: Path) -> bool:
    """Who passes a report on has them in its signature."""
    (folder / signature.FILE).write_bytes(PARTS)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signature._Envelope, "model_validate_json", lambda _content: pytest.fail("it was read"))
        try:
            signature.verify(folder, [], key, kind=archive.KIND)
        except AlteredError:
            return True
        except pytest.fail.Exception:
            return False
    return False


def parts_of_an_attestation(folder: Path) -> bool:
    """The author of a run has them in a line of its attestations."""
    (folder / line.FILE).write_bytes(PARTS + b"\n")
    try:
        line.read(folder / line.FILE)
    except RecordError as error:
        return "parts" in error.why
    return False


def _ends(read: Callable[[], object]) -> bool:
    """Whether reading ends by itself; a writer comes late, so that the test does."""
    began = time.monotonic()
    with contextlib.suppress(SodbenchError):
        read()
    return time.monotonic() - began < 0.8


def _pipe(folder: Path) -> Path:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(1.0, lambda: os.close(os.open(pipe, os.O_RDWR)))
    writer.daemon = True
    writer.start()
    return pipe


def pipe_as_a_key(folder: Path) -> bool:
    """A pipe lies where the signer's public key should."""
    return _ends(lambda: signature.public_key(_pipe(folder)))


def pipe_as_a_log(folder: Path) -> bool:
    """A pipe lies where the provider's log should."""
    return _ends(lambda: event_log.read(_pipe(folder), event_log.Side.OUTSIDE))


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(function=report._validated, check='bounds.check(raw.decode("ascii"))', by="pass"),
        parts_of_a_report,
    ),
    (
        Removed(function=package.read, check='bounds.check(raw.decode("ascii"))', by="pass"),
        parts_of_a_package,
    ),
    (
        Removed(function=signature._signed, check="require_few_parts(content, _MOST_PARTS)", by="pass"),
        parts_of_a_signature,
    ),
    (
        Removed(function=line._lines, check="require_few_parts(line, _MOST_PARTS)", by="pass"),
        parts_of_an_attestation,
    ),
    (
        Removed(function=signature.public_key, check="path.exists() and not path.is_file()", by="False"),
        pipe_as_a_key,
    ),
    (
        Removed(function=event_log.read, check="path.exists() and not path.is_file()", by="False"),
        pipe_as_a_log,
    ),
    (Removed(function=json_form.require_few_parts, check="parts > most", by="False"), parts_of_a_package),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
