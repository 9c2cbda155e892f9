"""Checks of signed reports and of anchors in a log: each is removed once, and its attack succeeds."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness import key_file
from harness import report as reports
from harness.attest.tokens import signing_key
from harness.errors import AlteredError, PrerequisiteError, StorageError
from harness.evidence import archive, signature
from harness.registry.audit import anchors as anchors_module
from harness.registry.audit import syslog
from harness.registry.audit.anchors import Anchors
from harness.registry.audit.chain import AuditError, AuditHead
from harness.registry.audit.syslog import Syslog
from harness.report import signed
from tests.security.removed import Attack, Removed, require_needed
from tests.synthetic import evidence

KEY = ec.generate_private_key(ec.SECP256R1())
FILES = ("report.html", "figures/seen.svg")


def _report(folder: Path, key: ec.EllipticCurvePrivateKey = KEY) -> Path:
    (folder / "figures").mkdir()
    for name in FILES:
        (folder / name).write_text(name)
    signed.sign(folder, tuple(folder / name for name in FILES), key)
    return folder


def _refused(folder: Path) -> bool:
    try:
        signed.verify(folder, KEY.public_key())
    except AlteredError:
        return True
    return False


def report_of_another(folder: Path) -> bool:
    """Another key signed the report."""
    return _refused(_report(folder, ec.generate_private_key(ec.SECP256R1())))


def altered_report(folder: Path) -> bool:
    """A figure was drawn again."""
    (_report(folder) / "figures/seen.svg").write_text("higher")
    return _refused(folder)


def shortened_report(folder: Path) -> bool:
    """A figure is missing."""
    (_report(folder) / "figures/seen.svg").unlink()
    return _refused(folder)


def longer_report(folder: Path) -> bool:
    """A document was added."""
    (_report(folder) / "report.pdf").write_text("another story")
    return _refused(folder)


def hidden_file(folder: Path) -> bool:
    """A document was added under the name of one that was left half-written."""
    (_report(folder) / ".report.html.12345678.partial").write_text("another story")
    return _refused(folder)


def archive_as_a_report(folder: Path) -> bool:
    """The same files were signed as something else."""
    signature.sign(_report(folder), FILES, KEY, kind=archive.KIND)
    return _refused(folder)


def signature_of_the_older_report(folder: Path) -> bool:
    """A report is made where a signed one lies: its signature must not stay."""
    (folder / "out").mkdir()
    _report(folder / "out")
    reports.build(evidence.build(folder / "run", evidence.Truths(attempts=())), folder / "out", ["md"])
    return not (folder / "out" / signature.FILE).exists()


def key_of_everybody(folder: Path) -> bool:
    """The key that signs is readable by others."""
    key = folder / "verifier-key.pem"
    signing_key.signing_key(key)
    key.chmod(0o644)
    try:
        signing_key.signing_key(key)
    except PrerequisiteError:
        return True
    return False


def _cut(folder: Path, key: Path) -> bool:
    """A log holds an anchor by `key` that is not in the file: whether it is named as missing."""
    anchors = Anchors(file=folder / "kept", key=folder / "key.pem", wall_ns=lambda: 1)
    anchors.add("here", AuditHead(number=1, digest="1" * 64))
    cut = replace(anchors, file=folder / "log", key=key)
    cut.add("here", AuditHead(number=2, digest="2" * 64))
    try:
        anchors.require_received(folder / "log", "here")
    except AuditError:
        return True
    return False


def cut_anchors(folder: Path) -> bool:
    """The last anchor was cut from the file; a log daemon has it."""
    return _cut(folder, folder / "key.pem")


def foreign_anchor_in_a_log(folder: Path) -> bool:
    """Another's anchor stands in the log, which must raise no alarm."""
    return not _cut(folder, folder / "other.pem")


def unconfirmed_anchor(_folder: Path) -> bool:
    """What takes an anchor over TCP is no log daemon."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening, listening.accept()[0] as opened:
            while opened.recv(4096):
                pass
            opened.sendall(b"HTTP/1.1 400 Bad Request\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        Syslog(f"tcp://127.0.0.1:{listening.getsockname()[1]}").send("an anchor")
    except StorageError:
        return True
    finally:
        thread.join()
    return False


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(
            function=signature._is_by,
            check="key.verify(signature, _authenticated(payload), _ALGORITHM)",
            by="pass",
        ),
        report_of_another,
    ),
    (
        Removed(function=signature.verify, check="sums.digest(folder / name) != signed[name]", by="False"),
        altered_report,
    ),
    (
        Removed(function=signature.verify, check="sorted(signed.keys() - there)", by="[]"),
        shortened_report,
    ),
    (
        Removed(function=signature.verify, check="sorted(there - signed.keys())", by="[]"),
        longer_report,
    ),
    (Removed(function=signed.verify, check=", half_written=True", by=""), hidden_file),
    (
        Removed(
            function=signature._signed,
            check="(statement.type, statement.predicate_type) != (_STATEMENT, _predicate(kind))",
            by="False",
        ),
        archive_as_a_report,
    ),
    (
        Removed(function=reports.write, check="signed.forget(out)", by="pass"),
        signature_of_the_older_report,
    ),
    (
        Removed(function=key_file.content, check="path.stat().st_mode & 0o077", by="False"),
        key_of_everybody,
    ),
    (
        Removed(function=Anchors.require_received, check="if missing:", by="if False:"),
        cut_anchors,
    ),
    (
        Removed(
            function=anchors_module._read,
            check="public.verify(signature, canonical(content).encode(), _ALGORITHM)",
            by="pass",
        ),
        foreign_anchor_in_a_log,
    ),
    (Removed(function=syslog._to_host, check="if opened.recv(1):", by="if False:"), unconfirmed_anchor),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
