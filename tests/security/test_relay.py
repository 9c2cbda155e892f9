"""The relay of a challenge: where it succeeds, as docs/threat-model.md says, and where it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.attest.attester.contract import CreatedKey, Identity
from harness.attest.evidence import EkType, KeyType, RefusedError
from harness.attest.examine.round import Examiner
from harness.attest.identity.authorities import Authorities
from harness.attest.identity.enrolment import Enrolled, Request, enrol
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason, Tier
from harness.clock import MonotonicClock
from harness.registry.registry import Registry, open_registry, sqlite_url
from tests.attest.adversary.enrolment_cases import denying
from tests.attest.attesters import GOOD, POLICY, UUID, SoftwareAttester
from tests.attest.ek_certificates import Authority
from tests.attest.test_round import Bench

ROOT = Path(__file__).parents[2]
YEAR = timedelta(days=365)
CLOCK = MonotonicClock()
CHIPS_ONLY = POLICY.model_copy(update={"software_tpm": "refuse"})


@dataclass(slots=True)
class Chip(SoftwareAttester):
    """The attester of a machine with a maker's chip. Root on another machine can pass challenges on to it."""

    certificate: bytes = b""

    def identify(self) -> Identity:
        said = denying(self.tpm.ek_public)
        return said.model_copy(update={"ek_certificates": {"rsa-2048": self.certificate}})

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        return CreatedKey(
            key=key,
            ek=ek or "rsa-2048",
            public=self.tpm.ak_public,
            name=self.tpm.name,
            qualified_name=self.tpm.qualified_name,
            handle=0x81010002,
            spent_ns={},
        )

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        # Each comes with its size, as the TPM's own commands take them.
        return self.tpm.activate(credential, secret) or b""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A maker that is trusted, and the registry of its customers."""

    registry: Registry
    maker: Authority
    now: datetime

    def machine(self) -> Chip:
        tpm = SoftwareTpm("rsa-2048")
        certificate = self.maker.certify(
            tpm.ek.public_key(), begin=self.now - YEAR / 2, end=self.now + YEAR / 2
        )
        return Chip(tpm, CLOCK, certificate=certificate)

    def enrol(self, name: str, through: Chip) -> Enrolled:
        trusted = Authorities(roots=(self.maker.trusted,), intermediates=())
        request = Request(name=name, kind="host", authorities=trusted, keys=("rsa-2048",))
        return enrol(through, self.registry, request, CLOCK)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    now = datetime.now(UTC).replace(microsecond=0)
    maker = Authority(begin=now - YEAR, end=now + YEAR)
    with open_registry(sqlite_url(tmp_path / "registry.sqlite")) as registry:
        yield Fleet(registry, maker, now)


def test_a_chip_that_is_not_enrolled_is_enrolled_in_the_name_of_the_machine_that_relays(fleet: Fleet) -> None:
    """The named limit: root on `a` passes all on to an untouched machine, and no check can tell."""
    untouched = fleet.machine()
    done = fleet.enrol("a", through=untouched)
    assert done.record.id == "a"
    assert not done.record.tpm.software
    examiner = Examiner(fleet.registry, lambda _name: CHIPS_ONLY, lambda _name: GOOD, CLOCK)
    assert examiner.examine("a", untouched, key="rsa-2048").result.tier is Tier.AFFIRMING


def test_a_chip_that_is_enrolled_lends_its_identity_to_no_other_machine(fleet: Fleet) -> None:
    chip = fleet.machine()
    fleet.enrol("b", through=chip)
    with pytest.raises(RefusedError) as caught:
        fleet.enrol("a", through=chip)
    assert caught.value.reason is Reason.IDENTITY_TAKEN


def test_an_enrolled_machine_cannot_answer_by_another_machines_chip(fleet: Fleet) -> None:
    own, other = fleet.machine(), fleet.machine()
    fleet.enrol("a", through=own)
    fleet.enrol("b", through=other)
    examiner = Examiner(fleet.registry, lambda _name: POLICY, lambda _name: GOOD, CLOCK)
    done = examiner.examine("a", other, key="rsa-2048")
    assert (done.result.tier, done.result.reason) == (Tier.CONTRAINDICATED, Reason.SIGNATURE_INVALID)


def test_a_host_without_a_guest_vouches_for_a_guest_that_is_elsewhere(fleet: Fleet) -> None:
    """The named limit of a guest's place: both answered one challenge, and nothing says where."""
    bench = Bench(fleet.registry, "ecc-p256")
    linked = bench.examiner.examine_linked(
        ("guest:1", bench.guest), ("a", bench.host), key=bench.key, vm_uuid=UUID, epoch=1
    )
    assert linked.verdict.tier is Tier.AFFIRMING


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("Relay", "one that is not enrolled yet can be enrolled in this machine's name"),
        ("Relay", "A TPM that is enrolled is another identity and is refused"),
        ("Place of a guest", "a host without any guest can vouch for one that is elsewhere"),
        ("Revocation", "OCSP is not asked"),
        ("Option 2 with option 7", "allowed, as in the paper"),
    ],
)
def test_the_threat_model_names_it(limit: str, says: str) -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| **{limit}** |"))
    assert says in row
