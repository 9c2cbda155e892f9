"""Anchors that a log daemon receives: on its socket, over TCP, and what they show of a file that was cut."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError, StorageError, UsageError
from harness.registry import places
from harness.registry.audit import syslog
from harness.registry.audit.anchors import EVERY, Anchoring, Anchors
from harness.registry.audit.chain import AuditError, AuditHead
from harness.registry.audit.syslog import Syslog

ONE, TWO = AuditHead(number=1, digest="1" * 64), AuditHead(number=2, digest="2" * 64)
PREFIX = "Nov 28 07:00:00 controller "


@dataclass
class Daemon:
    """A log daemon on a socket in a temporary folder, and the log that it would write."""

    opened: socket.socket
    log: Path
    messages: list[str] = field(default_factory=list)

    def written(self) -> Path:
        """The log, with what was received by now."""
        self.opened.setblocking(False)
        while True:
            try:
                self.messages.append(self.opened.recv(65536).decode())
            except BlockingIOError:
                break
        lines = (PREFIX + one.removeprefix("<85>") for one in self.messages)
        self.log.write_text("".join(f"{one}\n" for one in lines))
        return self.log


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "log"))
        yield Daemon(opened, tmp_path / "messages.log")


@pytest.fixture
def anchors(tmp_path: Path) -> Anchors:
    return Anchors(
        file=tmp_path / "anchors.jsonl",
        key=tmp_path / "key.pem",
        wall_ns=lambda: 7,
        syslog=Syslog(str(tmp_path / "log")),
    )


def test_a_daemon_gets_what_the_file_gets(anchors: Anchors, daemon: Daemon) -> None:
    anchors.add("here", ONE)
    anchors.add("there", TWO)
    daemon.written()
    assert daemon.messages == [f"<85>sodbench: {line}" for line in anchors.file.read_text().splitlines()]
    assert anchors.received(daemon.log, "here") == (ONE,)
    assert anchors.require_received(daemon.log, "there") == (TWO,)


def test_an_anchor_that_was_cut_from_the_file_is_named(anchors: Anchors, daemon: Daemon) -> None:
    anchors.add("here", ONE)
    anchors.add("here", TWO)
    anchors.file.write_text(anchors.file.read_text().splitlines()[0] + "\n")
    with pytest.raises(AuditError, match="an anchor is missing") as wrong:
        anchors.require_received(daemon.written(), "here")
    assert wrong.value.where == str(anchors.file)
    assert str(TWO) in wrong.value.why
    assert "append the lines" in wrong.value.remedy
    anchors.file.unlink()
    with pytest.raises(AuditError, match="an anchor is missing"):
        anchors.require_received(daemon.log, "here")


def test_lines_of_others_in_a_log_are_passed_over(anchors: Anchors, daemon: Daemon, tmp_path: Path) -> None:
    anchors.add("here", ONE)
    replace(anchors, file=tmp_path / "other.jsonl", key=tmp_path / "other.pem").add("here", TWO)
    log = daemon.written()
    with log.open("ab") as opened:
        opened.write(b"sshd: hello\n\xff\xfe\n" + log.read_bytes().replace(b'"number":1', b'"number":3'))
        opened.write(b'{"at_realtime_ns":' + b"[" * 20000 + b"\n" + b'{"at_realtime_ns":1}\n')
    assert anchors.require_received(log, "here") == (ONE,)


def test_a_log_that_cannot_be_read_is_named(anchors: Anchors, daemon: Daemon, tmp_path: Path) -> None:
    anchors.add("here", ONE)
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        anchors.received(tmp_path, "here")


def test_a_daemon_that_is_not_there_is_named_and_the_file_has_the_anchor(anchors: Anchors) -> None:
    with pytest.raises(StorageError, match="the log daemon does not take it") as wrong:
        anchors.add("here", ONE)
    assert wrong.value.where.endswith("/log")
    assert anchors.of("here") == (ONE,)


def test_a_file_that_cannot_be_written_is_told_and_the_daemon_has_the_anchor(
    anchors: Anchors, daemon: Daemon
) -> None:
    anchors.file.mkdir()
    with pytest.raises(StorageError) as wrong:
        anchors.add("here", ONE)
    assert wrong.value.where == str(anchors.file)
    assert anchors.received(daemon.written(), "here") == (ONE,)
    anchors.file.rmdir()
    line = daemon.log.read_text().partition("sodbench: ")[2]
    anchors.file.write_text(line)
    assert anchors.require_received(daemon.log, "here") == (ONE,), "the line of the log mends the file"


def test_a_daemon_that_fails_is_asked_again_after_as_many_transactions(
    anchors: Anchors, tmp_path: Path
) -> None:
    heads = list[AuditHead]()

    def head() -> AuditHead:
        heads.append(ONE)
        return ONE

    anchoring = Anchoring(anchors, "here", head)
    for _ in range(2 * EVERY - 1):
        anchoring.written()
    assert len(heads) == 1, "a log host that is silent delays one transaction in a hundred"
    anchoring.written()
    assert len(heads) == 2
    with pytest.raises(StorageError):
        anchoring.end(failing=False)
    assert len(heads) == 3, "the end tries once more"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "log"))
        anchoring.end(failing=False)


def host(answer: bytes = b"", *, closes: bool = True) -> tuple[Syslog, list[bytes], threading.Thread]:
    """A log host that takes one connection."""
    listening, got = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        with listening, listening.accept()[0] as opened:
            opened.settimeout(10)
            got.append(b"".join(iter(lambda: opened.recv(4096), b"")))
            opened.sendall(answer)
            if not closes:
                threading.Event().wait(0.5)

    thread = threading.Thread(target=serve)
    thread.start()
    return Syslog(f"tcp://127.0.0.1:{listening.getsockname()[1]}"), got, thread


def test_another_host_gets_a_line_over_tcp() -> None:
    receiver, got, thread = host()
    receiver.send("a line")
    thread.join()
    assert got == [b"<85>sodbench: a line\n"]


@pytest.mark.parametrize(
    ("answer", "closes", "why"), [(b"HTTP/1.1 400", True, "answers"), (b"", False, "timed out")]
)
def test_a_host_that_is_no_log_daemon_or_says_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, closes: bool, why: str
) -> None:
    monkeypatch.setattr(syslog, "LIMIT_S", 0.2)
    receiver, _, thread = host(answer, closes=closes)
    with pytest.raises(StorageError) as wrong:
        receiver.send("a line")
    thread.join()
    assert why in wrong.value.why
    assert wrong.value.exit_code == 11


@pytest.mark.parametrize("name", ["tcp://127.0.0.1:1", f"tcp://{'a' * 70}:514"])
def test_a_host_that_does_not_listen_or_cannot_be_is_named(name: str) -> None:
    with pytest.raises(StorageError, match="does not take it") as wrong:
        Syslog(name).send("a line")
    assert wrong.value.where == name


@pytest.mark.parametrize(
    "address",
    [
        "log",
        "udp://host:514",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:99999",
        "tcp://a b:514",
        "tcp://[x]:514",
    ],
)
def test_what_is_no_daemon_is_refused_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.SYSLOG_VARIABLE, address)
    with pytest.raises(UsageError, match="no log daemon"):
        places.anchors()


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


AUTHORITY = """[tsa]
default_tsa = own
[own]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""


@pytest.mark.programs
def test_a_copy_of_the_file_can_be_stamped_by_an_authority(anchors: Anchors, tmp_path: Path) -> None:
    alone = replace(anchors, syslog=None)
    alone.add("here", ONE)
    (tmp_path / "tsa.cnf").write_text(AUTHORITY)
    of_authority = ("-subj", "/CN=time", "-addext", "extendedKeyUsage=critical,timeStamping", "-days", "1")
    of_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.pem")
    openssl(tmp_path, "req", "-x509", *of_key, *of_authority, "-out", "roots.pem")
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(alone.file.read_bytes())
    openssl(tmp_path, "ts", "-query", "-data", "kept.jsonl", "-sha256", "-cert", "-out", "kept.tsq")
    signer = ("-signer", "roots.pem", "-inkey", "tsa.pem", "-config", "tsa.cnf")
    openssl(tmp_path, "ts", "-reply", "-queryfile", "kept.tsq", *signer, "-out", "kept.tsr")
    alone.add("here", TWO)
    said = openssl(
        tmp_path, "ts", "-verify", "-data", "kept.jsonl", "-in", "kept.tsr", "-CAfile", "roots.pem"
    )
    assert "Verification: OK" in said
    assert alone.require_received(kept, "here") == (ONE,)
