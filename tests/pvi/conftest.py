"""A factory's key, and a host that was just attested: the honest case, for tests to spoil."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.attest.played.software_tpm import SoftwareTpm
from tests.pvi.hosts import Probed, probed


@pytest.fixture(scope="session")
def tpm() -> SoftwareTpm:
    """The TPM of the host."""
    return SoftwareTpm("ecc-p256")


@pytest.fixture
def host(tpm: SoftwareTpm) -> Probed:
    """A host that was just attested."""
    return probed(tpm)


@pytest.fixture(scope="session")
def factory() -> ec.EllipticCurvePrivateKey:
    """The key with which a factory signs its packages."""
    return ec.generate_private_key(ec.SECP256R1())
