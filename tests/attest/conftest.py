"""What tests of attestation share: a real software TPM, and TPMs in software keys that can be made to lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.attest.evidence import KeyType
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.played.platform import Platform, platform
from harness.attest.played.software_tpm import SoftwareTpm


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a software TPM starts a program, whatever else its file has."""
    for item in items:
        if "swtpm" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.programs)


@pytest.fixture
def swtpm(tmp_path: Path) -> Iterator[LocalTpm]:
    """A real software TPM of its own for the test, all banks active, without certificates."""
    with running(tmp_path) as tpm:
        yield tpm


@pytest.fixture(scope="session")
def tpms() -> dict[KeyType, SoftwareTpm]:
    """A quoting TPM in software keys of each key type, made once."""
    return {"ecc-p256": SoftwareTpm("ecc-p256"), "rsa-2048": SoftwareTpm("rsa-2048")}


@pytest.fixture
def machine(tpms: dict[KeyType, SoftwareTpm]) -> Platform:
    """A machine that quotes with a P-256 key."""
    return platform(tpms["ecc-p256"])
