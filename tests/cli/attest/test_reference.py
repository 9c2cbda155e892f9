"""`sodbench attest reference`: reference values of hosts and of a guest that is booted for them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.attest.attester import channel
from harness.attest.identity import authorities
from harness.attest.played.logs import Line
from harness.attest.reference.files import load_reference
from harness.registry import places
from harness.registry.registry import open_registry
from harness.rig import session
from harness.rig.guest import domain, image
from harness.rig.guest.kind import STANDARD
from tests.attest.machine import Machine
from tests.cli.command import Attest

pytestmark = pytest.mark.programs


def test_reference_values_of_one_machine_go_where_they_are_wanted(enrolled: Attest, tmp_path: Path) -> None:
    out = tmp_path / "a.yml"
    said = enrolled("reference", "a", "--out", out)
    assert said.code == 0
    assert f"{out}: reference values of a for the policy lab: 10 PCRs" in said.out
    assert load_reference(out) == load_reference(places.reference_file("a"))


def test_a_changed_machine_is_refused_until_its_new_values_are_recorded(
    tmp_path: Path, machines: dict[str, Machine], enrolled: Attest
) -> None:
    machines["b"].use([Line(path=b"/usr/bin/new%d" % tmp_path.stat().st_ino, content=b"1")])
    said = enrolled("verify", "b")
    assert (said.code, "ima-file-unknown" in said.words) == (14, True)
    assert "held" in enrolled("status").out
    before = load_reference(places.reference_file("b"))
    assert enrolled("reference", "b", "--add").code == 0
    after = load_reference(places.reference_file("b"))
    assert len(after.ima.files) == len(before.ima.files) + 1
    said = enrolled("verify", "b")
    assert (said.code, "held-contraindicated" in said.words) == (14, True)
    assert enrolled("enrol", "b", "--renew", "--key", "ecc-p256").code == 0
    assert enrolled("verify", "b").code == 0


class Guests:
    """A rig that can start a guest: machine b stands for it."""

    image_key = "0123456789abcdef"
    kind = STANDARD

    def __init__(self) -> None:
        self.done: list[str] = []
        self.hosts = {"a": SimpleNamespace(role="a")}
        self.guest = SimpleNamespace(role="b")
        self.hypervisors = SimpleNamespace(connect=lambda: {"a": "libvirt of a"})

    def specify(self, *, memory_mib: int, vcpus: int, tpm: bool) -> str:
        assert tpm
        return f"{memory_mib} MiB, {vcpus} vCPU"

    def vacate(self) -> None:
        self.done.append("vacated")

    def clear(self, spec: str) -> None:
        self.done.append(f"cleared {spec}")

    def boot(self, connection: str, host: SimpleNamespace, spec: str) -> None:
        self.done.append(f"booted {spec} by {connection}")

    def await_login(self, *_given: object, **_named: object) -> float:
        self.done.append("logged in")
        return 1.0


@pytest.fixture
def guests(attest: Attest, monkeypatch: pytest.MonkeyPatch, machines: dict[str, Machine]) -> Guests:
    rig = Guests()

    def authority(host: SimpleNamespace, folder: str) -> authorities.Authorities:
        assert (host.role, folder) == ("a", authorities.GUEST_AUTHORITY)
        return machines["b"].authorities

    monkeypatch.setattr(session, "open_rig", lambda *_given, **_named: nullcontext(rig))
    monkeypatch.setattr(domain, "boot", rig.boot)
    monkeypatch.setattr(domain, "await_login", rig.await_login)
    monkeypatch.setattr(image, "image_key", lambda *_arguments: rig.image_key)
    monkeypatch.setattr(channel, "RemoteAttester", lambda host, _clock: machines[host.role].attester)
    monkeypatch.setattr(authorities, "of_machine", authority)
    return rig


_SPEC = "1024 MiB, 1 vCPU"


def test_a_guest_is_booted_recorded_and_taken_away(attest: Attest, guests: Guests) -> None:
    said = attest("reference", "guest")
    assert (said.code, said.err) == (0, "")
    place = places.reference_file("guest-0123456789abcdef")
    assert f"{place}: reference values of guest for the policy guest: 7 PCRs" in said.out
    assert set(load_reference(place).pcrs["sha256"]) == {0, 2, 3, 4, 5, 6, 7}
    assert guests.done == [
        "vacated",
        f"cleared {_SPEC}",
        f"booted {_SPEC} by libvirt of a",
        "logged in",
        f"cleared {_SPEC}",
    ]
    with open_registry(places.registry_url()) as registry:
        assert registry.attesters() == ()
    assert attest("reference", "guest", "--add").code == 0


def test_a_guest_that_cannot_be_recorded_is_taken_away_too(
    attest: Attest, guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorities, "of_machine", lambda _host, _folder: authorities.NOBODY)
    said = attest("reference", "guest")
    assert (said.code, "ek-chain" in said.err) == (14, True)
    assert guests.done[-1] == f"cleared {_SPEC}"
    with open_registry(places.registry_url()) as registry:
        assert registry.attesters() == ()


def test_no_reference_values_are_taken_from_a_stranger(attest: Attest) -> None:
    said = attest("reference", "a")
    assert (said.code, "not-enrolled" in said.err) == (14, True)
    assert not places.reference_file("a").exists()
