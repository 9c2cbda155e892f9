"""The attester on a machine, over the channel of the machine's connection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import paramiko
import pytest

from harness.attest.attester.channel import INSTALLED, RemoteAttester
from harness.attest.attester.contract import Answer, Attester
from harness.attest.played.local_tpm import LocalTpm
from harness.attest.reasons import Reason
from harness.clock import MonotonicClock
from harness.errors import UnreachableError
from harness.rig.host import Host
from harness.rig.pair import Endpoint
from tests.attest.attesting import PROGRAM, ask, configured
from tests.attest.fake_attester import ANSWER, FAKE, LIMITS, refused


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    return path


class PipeChannel:
    """A program of this machine behind what the harness needs of an SSH channel."""

    out_window_size = 2**21

    def __init__(self, command: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe)

    def recv(self, size: int) -> bytes:
        assert self.process.stdout is not None
        return os.read(self.process.stdout.fileno(), size)

    def recv_stderr(self, size: int) -> bytes:
        assert self.process.stderr is not None
        return os.read(self.process.stderr.fileno(), size)

    def recv_exit_status(self) -> int:
        return self.process.wait()

    def sendall(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def shutdown_write(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> None:
        self.process.kill()


class Machine(Host):
    """A host whose commands run here."""

    def __init__(self, instead: Callable[[str], str]) -> None:
        super().__init__(Endpoint(role="a", address="192.0.2.11", user="root"))
        self.asked: list[str] = []
        self._instead = instead

    def _open(self, command: str, *, root: bool) -> paramiko.Channel:
        assert root
        self.asked.append(command)
        return cast("paramiko.Channel", PipeChannel(self._instead(command)))


def test_a_remote_attester_is_the_installed_program(swtpm: LocalTpm) -> None:
    config = configured(swtpm.folder, swtpm.tcti)
    machine = Machine(lambda _: f"exec /usr/bin/python3 -BEsu {PROGRAM} --config {config}")
    remote = RemoteAttester(machine, MonotonicClock())
    made = remote.create_key("ecc-p256")
    answers: list[Answer] = [remote.quote(ask()) for _ in range(3)]
    remote.close()
    assert machine.asked == [INSTALLED]
    assert (made.key, remote.started) == ("ecc-p256", 1)
    for answer in answers:
        assert answer.sent_ns < answer.evidence.moments.quoted_ns < answer.received_ns


def test_a_machine_without_the_program_says_so() -> None:
    attester: Attester = RemoteAttester(Machine(lambda _: "exec python3 /nonexistent.py"), MonotonicClock())
    error = refused(attester.identify)
    assert (error.reason, error.where) == (Reason.ATTESTER_FAILED, "a (192.0.2.11)")
    assert "No such file" in error.why
    assert "provision.yml" in error.remedy


def test_a_machine_that_is_gone_is_unreachable() -> None:
    def gone(_command: str) -> str:
        raise UnreachableError("the machine cannot be reached over ssh", where="a", why="timed out")

    error = refused(RemoteAttester(Machine(gone), MonotonicClock()).properties)
    assert error.reason is Reason.ATTESTER_UNREACHABLE
    assert "timed out" in error.why


def test_a_connection_that_breaks_in_a_request_is_an_error_of_it_alone(program: Path, tmp_path: Path) -> None:
    config = tmp_path / "behaviour"
    config.write_text(f"os.kill(os.getpid(), 9) if request['id'] == 2 else {ANSWER}")
    machine = Machine(lambda _: f"exec {sys.executable} {program} {config}")
    attester = RemoteAttester(machine, MonotonicClock(), limits=LIMITS)
    attester.properties()
    assert refused(attester.properties).reason is Reason.ATTESTER_FAILED
    attester.properties()
    assert (attester.reopened, len(machine.asked)) == (1, 2)
    attester.close()
