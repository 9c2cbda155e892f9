"""What an attempt's attestation leaves in the evidence, and whose authority its guest is enrolled by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.attest.attester.channel import channel
from harness.attest.attester.contract import AttesterError
from harness.cli.attest import machines
from harness.clock import MonotonicClock
from harness.evidence.journal import Event, Journal, read
from harness.evidence.record import Record
from harness.rig.contract import CommandError
from harness.rig.guest import host_key
from harness.rig.host import Host
from tests.attest.ek_certificates import Authority, pem

CLOCK = MonotonicClock()


class Ending:
    """A machine whose attester is ready, and ends at the first question."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.endpoint = SimpleNamespace(address="192.0.2.7")

    def stream(
        self,
        _command: str,
        on_line: Callable[[int, str], None],
        *,
        on_close: Callable[[str], None],
        **_bounds: object,
    ) -> Any:
        on_line(CLOCK.now_ns(), '{"ready": {}}')
        return SimpleNamespace(send=lambda _line: on_close("killed by signal 9"), close=lambda **_named: True)


@contextmanager
def recorded(folder: Path) -> Iterator[Record]:
    with Journal(folder / "journal.jsonl", CLOCK) as journal:
        yield Record(journal=journal, clock=CLOCK, folder=folder, trial="001-idle", attempt=1)


def restarts(folder: Path) -> list[Event]:
    return [one for one in read(folder / "journal.jsonl") if one.kind == "attester.restarted"]


def test_an_attester_that_had_to_be_started_again_is_in_the_evidence(tmp_path: Path) -> None:
    with recorded(tmp_path) as record, ExitStack() as stack:
        asked = channel(cast(Host, Ending("b")), record, stack)
        for number in range(3):
            with pytest.raises(AttesterError):
                asked.properties()
            assert len(restarts(tmp_path)) == number
    first = restarts(tmp_path)[0]
    assert (first.observer, first.trial, first.data["machine"]) == ("attestation", "001-idle", "b")
    assert "killed by signal 9" in str(first.data["why"])


class Certified:
    """A host whose guests' TPMs are certified by an authority of its own, or that never had a guest."""

    def __init__(self, role: str, authority: Authority | None) -> None:
        self.role = role
        self._authority = authority

    def run(self, _command: str, **_limits: float) -> str:
        if self._authority is None:
            raise CommandError("no such file", where=self.role)
        return pem(self._authority.certificate).decode()

    def __enter__(self) -> Certified:
        return self

    def __exit__(self, *_details: object) -> None:
        pass


def vouching(monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Certified]) -> set[bytes]:
    """The subjects of the roots that vouch for a guest's TPM."""
    pair = SimpleNamespace(machines={"a": "a", "b": "b"}, only_guest="guest", attest_roots=None, tpm={})
    monkeypatch.setattr(machines, "Host", lambda role, _clock: hosts[role])
    monkeypatch.setattr(host_key, "reached", lambda *_given: nullcontext(Ending("guest")))
    with machines.reached(cast(Any, pair), ["guest"], CLOCK) as found:
        known, _notice = machines.vouching(found["guest"], cast(Any, pair), None)
    assert known.from_machine, "its hosts made these authorities: a TPM that they certify counts as software"
    return {root.fields.subject.public_bytes() for root in known.roots}


def test_a_guest_that_was_started_on_b_is_enrolled_by_bs_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Authority(name="of a"), Authority(name="of b")
    subjects = {one.certificate.subject.public_bytes() for one in (a, b)}
    assert vouching(monkeypatch, {"a": Certified("a", a), "b": Certified("b", b)}) == subjects
    only_b = vouching(monkeypatch, {"a": Certified("a", None), "b": Certified("b", b)})
    assert only_b == {b.certificate.subject.public_bytes()}
    with pytest.raises(CommandError):
        vouching(monkeypatch, {"a": Certified("a", None), "b": Certified("b", None)})
