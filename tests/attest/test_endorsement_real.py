"""A real software TPM's certificates are believed under its own authority alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from harness.attest.evidence import RefusedError
from harness.attest.identity.certificate import Certificate
from harness.attest.identity.endorsement import check
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.reasons import Reason
from tests.attest import ek_certificates as made


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalTpm, Path]]:
    folder = tmp_path_factory.mktemp("machine")
    made.manufacture(folder / "state", folder / "authority")
    with running(folder, state=folder / "state") as tpm:
        yield tpm, folder / "authority"


def _pem(path: Path) -> Certificate:
    return Certificate.of(x509.load_pem_x509_certificate(path.read_bytes()))


@pytest.mark.programs
def test_a_real_software_tpm_is_vouched_for_by_its_own_authority_alone(
    machine: tuple[LocalTpm, Path], tmp_path: Path
) -> None:
    tpm, authority = machine
    tpm.run("tpm2_nvread", "0x1c00002", "-C", "o", "-o", "ek.der")
    tpm.run("tpm2_readpublic", "-c", "0x81010001", "-o", "ek.public")
    public = (tpm.folder / "ek.public").read_bytes()[2:]
    certificate = (tpm.folder / "ek.der").read_bytes()
    root, issuer = _pem(authority / "swtpm-localca-rootca-cert.pem"), _pem(authority / "issuercert.pem")
    now = datetime.fromisoformat("2090-01-01T00:00:00+00:00")
    found = check([certificate], public, roots=[root], intermediates=[issuer], now=now)
    assert (found.manufacturer, found.model, found.software) == ("id:00001014", "swtpm", True)
    assert found.issuer == "CN=swtpm-localca"

    made.manufacture(tmp_path / "state", tmp_path / "authority")
    other = tmp_path / "authority"
    stranger = _pem(other / "swtpm-localca-rootca-cert.pem")
    assert stranger.subject == root.subject
    for intermediates in ([issuer], [_pem(other / "issuercert.pem")]):
        with pytest.raises(RefusedError) as caught:
            check([certificate], public, roots=[stranger], intermediates=intermediates, now=now)
        assert caught.value.reason is Reason.EK_CHAIN
