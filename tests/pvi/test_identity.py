"""The life of a VM from log and certificates: proved, or doubted for what is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from harness.attest.played.software_tpm import SoftwareTpm
from harness.clock import NS_PER_S
from harness.instant import Instant
from harness.json_types import Json
from harness.pvi import identity
from harness.pvi.factory import authority
from harness.pvi.factory.authority import Authority, moment
from harness.pvi.factory.profiles import Profile
from harness.pvi.factory.trust import Trust
from harness.pvi.identity import Life
from tests.pvi.factory.places import NOW_NS, RSA_KEY, VM, asked
from tests.pvi.test_counter import looked

DAY_NS = 86_400 * NS_PER_S


@dataclass(frozen=True)
class Entry:
    """An entry of the log."""

    number: int
    at: Instant
    kind: str
    subject: str
    body: Mapping[str, Json]


@dataclass
class World:
    """A factory, what it issued, and the log of it."""

    root: Authority = field(default_factory=lambda: authority.root("shop", "physical", moment(NOW_NS)))
    entries: list[Entry] = field(default_factory=list)
    certificates: dict[str, x509.Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.issuing = authority.issuing("shop", "physical", self.root, moment(NOW_NS))
        self.vtpm = self.endorsed()

    def endorsed(self) -> x509.Certificate:
        """A vTPM that the factory endorsed."""
        wanted = asked(Profile.VTPM, key=RSA_KEY.public_key())
        return authority.certificate(wanted, self.issuing, "physical", moment(NOW_NS))

    def told(self, kind: str, subject: str, day: float, **body: Json) -> Entry:
        """An entry of that day."""
        at = Instant(realtime_ns=NOW_NS + round(day * DAY_NS), monotonic_ns=0, boot_id="a boot")
        entry = Entry(len(self.entries) + 1, at, kind, subject, body)
        self.entries.append(entry)
        return entry

    def issue(self, day: float, *, signed_day: float | None = None, **changed: object) -> x509.Certificate:
        """A certificate of the VM, with its entry."""
        wanted = asked(Profile.VM, **{"endorsement": self.vtpm, **changed})
        at = moment(NOW_NS + round((day if signed_day is None else signed_day) * DAY_NS))
        made = authority.certificate(wanted, self.issuing, "physical", at)
        digest = made.fingerprint(hashes.SHA256()).hex()
        self.certificates[digest] = made
        said: dict[str, Json] = {"does": "issue", "profile": "vm-identity", "holder": wanted.name}
        said |= {"serial": f"{made.serial_number:x}", "certificate": digest, "uuid": wanted.uuid}
        said |= {key: value for key, value in changed.items() if key in {"place", "parent"}}  # type: ignore[misc]
        self.told("pvi", "factory f", day, **said)
        return made

    @property
    def life(self) -> Life:
        return identity.life("vm-1", self.entries)

    @property
    def doubts(self) -> list[str]:
        """What is doubted."""
        trusted = Trust(root=self.root.certificate, issuing=self.issuing.certificate, lists=())
        return [one.says for one in identity.doubts(self.life, self.certificates, trusted)]


@pytest.fixture
def world() -> World:
    """A VM that was created, placed, moved and renewed."""
    made = World()
    made.issue(0)
    made.told("placement", "vm-1", 0.1, host="a", epoch=1)
    made.told("result", "vm-1", 0.2, tier="affirming")
    made.told("placement", "vm-1", 10, host="b", epoch=2)
    made.told("placement", "vm-2", 11, host="b", epoch=1)
    made.told("placement", "vm-1", 12, host="b", epoch=3)
    made.issue(29)
    made.told("result", "vm-1", 30, tier="warning")
    return made


def test_an_honest_life_is_told_and_not_doubted(world: World) -> None:
    found = world.life
    assert found.created_ns == NOW_NS
    assert [one.uuid for one in found.stages] == [VM, VM]
    assert [(one.host, one.epoch) for one in found.stays] == [("a", 1), ("b", 2), ("b", 3)]
    assert (found.migrations, found.attested, found.last_tier) == (1, 2, "warning")
    assert world.doubts == []


def test_other_vms_and_other_profiles_are_not_part_of_it(world: World) -> None:
    world.issue(30, name="vm-2")
    world.told("pvi", "factory f", 31, does="issue", profile="probe", holder="vm-1", serial="1")
    assert len(world.life.stages) == 2
    assert world.doubts == []
    assert identity.life("vm-3", world.entries) == Life(
        name="vm-3", stages=(), stays=(), attested=0, last_attested_ns=None, last_tier=""
    )


def test_a_certificate_that_is_missing_or_another_is_named(world: World) -> None:
    first, second = world.life.stages
    world.certificates[first.digest] = world.certificates[second.digest]
    assert world.doubts == [f"certificate {first.serial} is missing or another"]
    del world.certificates[first.digest]
    assert world.doubts == [f"certificate {first.serial} is missing or another"]


def test_a_certificate_of_another_factory_is_named(world: World) -> None:
    world.issuing = authority.issuing("shop", "physical", world.root, moment(NOW_NS))
    assert len(world.doubts) == 2


def test_a_certificate_of_another_profile_is_named(world: World) -> None:
    stage = world.life.stages[0]
    made = authority.certificate(asked(Profile.VPN), world.issuing, "physical", moment(NOW_NS))
    digest = made.fingerprint(hashes.SHA256()).hex()
    world.certificates[digest] = made
    first = world.entries[0]
    world.entries[0] = replace(first, body={**first.body, "certificate": digest})
    assert world.doubts[0] == f"certificate {stage.serial}: it is not of the profile vm-identity"


@pytest.mark.parametrize("signed_day", [29 - 2 / 1440, 29 + 1 / 1440])
def test_a_certificate_that_was_not_signed_when_the_log_says_is_named(signed_day: float) -> None:
    world = World()
    made = world.issue(29, signed_day=signed_day)
    assert world.doubts == [f"certificate {made.serial_number:x} was not signed when the log says so"]


def test_another_uuid_and_another_vtpm_are_named(world: World) -> None:
    world.issue(30, uuid=VM.replace("1", "2"))
    assert world.doubts == ["the UUID is not that of the certificate before"]
    world.entries.pop()
    world.vtpm = world.endorsed()
    world.issue(30)
    assert world.doubts == ["the vTPM is not that of the certificate before"]


def test_the_logs_uuid_is_the_certificates(world: World) -> None:
    other = VM.replace("1", "2")
    world.entries[0] = replace(world.entries[0], body={**world.entries[0].body, "uuid": other})
    assert world.doubts[0].endswith("is of another UUID")


@pytest.mark.parametrize(("day", "doubted"), [(59 - 0.001, False), (59 + 0.001, True)])
def test_a_vm_is_never_without_an_identity(world: World, day: float, *, doubted: bool) -> None:
    world.issue(day)
    assert world.doubts == ["the certificate before had ended, and the VM had no identity"] * doubted


@pytest.mark.parametrize(("day", "doubted"), [(30, True), (32, False)])
def test_a_revoked_certificate_ends_the_identity(world: World, day: float, *, doubted: bool) -> None:
    serial = world.life.stages[1].serial
    world.told("pvi", "another factory", 29.5, does="revoke", serial=serial)
    world.told("pvi", "factory f", day, does="revoke", serial=serial)
    world.issue(31)
    assert world.doubts == ["the certificate before had ended, and the VM had no identity"] * doubted


@pytest.mark.parametrize("epoch", [3, 2])
def test_epochs_that_do_not_rise_are_named(world: World, epoch: int) -> None:
    world.told("placement", "vm-1", 31, host="a", epoch=epoch)
    assert world.doubts == [f"epoch {epoch} comes after 3"]


def test_doubts_come_in_the_order_of_the_log(world: World) -> None:
    world.told("placement", "vm-1", 31, host="a", epoch=1)
    world.issue(100)
    found = identity.doubts(
        world.life, {}, Trust(root=world.root.certificate, issuing=world.issuing.certificate, lists=())
    )
    assert [one.entry for one in found] == sorted(one.entry for one in found)
    assert timedelta(0) < identity.DELAY


def test_each_host_has_a_certificate_once_places_are_stated(world: World) -> None:
    world.told("placement", "vm-1", 31, host="a", epoch=4)
    world.issue(32, place="a 4")
    assert world.doubts == []
    world.told("placement", "vm-1", 33, host="b", epoch=5)
    assert world.doubts == [], "the newest may still be renewed"
    world.told("placement", "vm-1", 34, host="a", epoch=6)
    assert world.doubts == ["no certificate was issued for the time on b 5"]
    world.issue(35, place="b 5")
    assert world.doubts[-1].endswith("says b 5, and the log a 6")


def test_a_place_before_any_placement_is_named(world: World) -> None:
    made = World()
    made.issue(0, place="a 1")
    assert made.doubts[0].endswith("says a 1, and the log nowhere")


def _cloned(world: World, **changed: object) -> list[str]:
    world.issue(31, **{"name": "vm-2", "uuid": CLONE, "parent": VM, **changed})  # type: ignore[arg-type]
    trusted = Trust(root=world.root.certificate, issuing=world.issuing.certificate, lists=())
    life = identity.life("vm-2", world.entries)
    assert life.parent == changed.get("parent", VM)
    return [one.says for one in identity.doubts(life, world.certificates, trusted)]


CLONE = VM.replace("1", "2")


def test_a_clone_is_a_new_identity_that_names_its_parent(world: World) -> None:
    assert _cloned(world, endorsement=world.endorsed()) == []
    assert world.doubts == [], "the parent's life is its own"


def test_a_clone_with_its_parents_vtpm_or_of_an_unknown_parent_is_named(world: World) -> None:
    assert _cloned(world) == ["a clone has the vTPM of its parent"]
    other = World()
    assert _cloned(other, endorsement=other.endorsed()) == ["its parent had no identity before"]


def test_a_clone_keeps_its_parent(world: World) -> None:
    own = world.endorsed()
    assert _cloned(world, endorsement=own) == []
    found = _cloned(world, endorsement=own, parent=VM)
    assert found == []
    made = world.issue(32, name="vm-2", uuid=CLONE, endorsement=own)
    trusted = Trust(root=world.root.certificate, issuing=world.issuing.certificate, lists=())
    said = identity.doubts(identity.life("vm-2", world.entries), world.certificates, trusted)
    assert [one.says for one in said] == [f"certificate {made.serial_number:x} names another parent"]


def test_looks_are_signed_by_the_certificate_of_their_time(world: World) -> None:
    vtpm = SoftwareTpm("ecc-p256")
    world.told("look", "vm-1", 31, **looked(vtpm, 1))
    assert world.doubts == ["the look does not count: the VM's identity key did not sign the look"]
    world.issue(32, key=vtpm.ak.public_key())
    for day, count in ((33, 1), (34, 2)):
        world.told("look", "vm-1", day, **looked(vtpm, count))
    seen, _ = identity.looks(world.life, world.certificates)
    assert [look.count for _, look in seen] == [1, 2]
    world.told("look", "vm-1", 35, **looked(vtpm, 2))
    assert world.doubts[-1].endswith("its state was put back")
    world.certificates.clear()
    assert "there is no certificate that the look is signed by" in world.doubts
