"""An issuer that names purposes must name that of endorsement keys, or any."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.attest.evidence import RefusedError
from harness.attest.identity.endorsement import Endorsement, check
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from tests.attest.ek_certificates import NOW, Authority

TPM = SoftwareTpm("ecc-p256")
SERVERS, ATTESTING = ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("2.23.133.8.3")
ENDORSING, ANY = x509.ObjectIdentifier("2.23.133.8.1"), ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
Named = list[x509.ObjectIdentifier]


def issued(place: str, named: Named) -> Endorsement:
    purposes: list[x509.ExtensionType] = [x509.ExtendedKeyUsage(named)]
    root = Authority(name="root", further=purposes if place == "root" else ())
    between = Authority(name="between", parent=root, further=purposes if place == "between" else ())
    own = between.certify(TPM.ek.public_key())
    return check([own], TPM.ek_public, roots=[root.trusted], intermediates=[between.trusted], now=NOW)


@pytest.mark.parametrize("place", ["root", "between"])
@pytest.mark.parametrize("named", [[SERVERS], [ATTESTING], [SERVERS, ATTESTING]])
def test_an_issuer_for_something_else_is_not_believed(place: str, named: Named) -> None:
    with pytest.raises(RefusedError) as caught:
        issued(place, named)
    assert caught.value.reason is Reason.EK_CHAIN
    assert "purpose" in caught.value.why


@pytest.mark.parametrize("place", ["root", "between"])
@pytest.mark.parametrize("named", [[ENDORSING], [SERVERS, ENDORSING], [ANY]])
def test_an_issuer_of_endorsement_keys_is_believed(place: str, named: Named) -> None:
    assert issued(place, named).issuer == "CN=between"
