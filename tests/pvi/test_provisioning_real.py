"""From a real quote to a package that one real TPM opens: attester, verifier, release, seal, unseal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attest.evidence import RefusedError
from harness.attest.examine.recording import genuine
from harness.attest.examine.round import Examiner
from harness.attest.identity.enrolment import enrol
from harness.attest.played.logs import Line
from harness.attest.reasons import Reason
from harness.attest.reference.files import load_policy
from harness.attest.reference.values import record
from harness.clock import MonotonicClock
from harness.pvi import package as packages
from harness.pvi.package import Package
from harness.pvi.release import Conditions, release
from harness.registry.places import policy_file
from harness.registry.registry import Registry, open_registry
from tests.attest.enrolment.asking import asked
from tests.attest.machine import Machine, machine
from tests.attest.opening import Opened, endorsement_key, opened
from tests.pvi.test_package import CONTENT, GUEST
from tests.registry.blank import blank

pytestmark = pytest.mark.programs

CLOCK = MonotonicClock()


@dataclass
class Factory:
    """Attests a machine and makes packages for it."""

    machine: Machine
    registry: Registry
    examiner: Examiner
    key: ec.EllipticCurvePrivateKey

    def package(self) -> Package:
        attested = self.examiner.examine("a", self.machine.attester, key="ecc-p256")
        released = release(
            attested,
            self.registry.attester("a"),
            self.machine.attester.identify().ek_public["rsa-2048"],
            Conditions(most_age_s=60),
            now_ns=CLOCK.now_ns(),
        )
        made = packages.make(CONTENT, GUEST, released, self.key)
        return packages.read(made.to_bytes(), self.key.public_key(), where="a file")


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    """A factory, and a machine that is enrolled with it and known to be good."""
    with machine(tmp_path / "a") as made, open_registry(blank(tmp_path)) as registry:
        enrol(made.attester, registry, asked(made), CLOCK)
        # tpm2-tools, which open the package here, take eight PCRs at most.
        policy = load_policy(policy_file("lab")).model_copy(update={"pcrs": (0, 1, 2, 3, 4, 5, 7, 10)})
        good = record(
            genuine(made.attester, registry, "a", key="ecc-p256", policy=policy, clock=CLOCK), policy
        )
        examiner = Examiner(registry, lambda _name: policy, lambda _name: good, CLOCK)
        yield Factory(made, registry, examiner, ec.generate_private_key(ec.SECP256R1()))


def test_an_attested_host_opens_its_package_until_it_changes(factory: Factory, tmp_path: Path) -> None:
    package, tpm = factory.package(), factory.machine.tpm
    endorsement_key(tpm, "rsa")
    given = opened(tpm, package.sealed, package.terms)
    assert given.secret is not None, given.refused
    assert packages.opened(package, given.secret, where="a file") == CONTENT

    with machine(tmp_path / "b", authority=factory.machine.authority) as other:
        endorsement_key(other.tpm, "rsa")
        assert opened(other.tpm, package.sealed, package.terms) == Opened(None, "tpm2_import")

    tpm.run("tpm2_pcrextend", "4:sha256=" + "5a" * 32)
    assert opened(tpm, package.sealed, package.terms) == Opened(None, "unseal")


def test_a_host_that_ran_an_unknown_program_gets_no_package(factory: Factory) -> None:
    factory.machine.use([Line(path=b"/usr/bin/unknown", content=b"something else", template="ima-sig")])
    with pytest.raises(RefusedError) as refused:
        factory.package()
    held = factory.registry.attester("a")
    assert held is not None
    assert held.held
    assert refused.value.reason is Reason.HELD_CONTRAINDICATED
