"""What the first quote proves, forged by a holder of the key."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.identity.enrolment import check_place
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm import structures
from tests.attest.enrolment.asking import KINDS

_NONCE = bytes(range(32))
_PCRS: Mapping[int, bytes] = {0: bytes(32)}


@pytest.fixture(params=KINDS)
def signer(request: pytest.FixtureRequest, tpms: dict[KeyType, SoftwareTpm]) -> SoftwareTpm:
    return tpms[request.param]


def placed(signer: SoftwareTpm, **overrides: object) -> None:
    evidence = signer.evidence(_NONCE, _PCRS)
    if overrides:
        attest, signature = signer.quote(_NONCE, _PCRS, **overrides)  # type: ignore[arg-type]
        evidence = evidence.model_copy(update={"attest": attest, "signature": signature})
    key = EnrolledKey(
        attester="host-a",
        kind=signer.kind,
        public=signer.ak_public,
        name=signer.name,
        qualified_name=signer.qualified_name,
    )
    check_place(evidence, key, _NONCE)


def test_a_good_first_quote_passes(signer: SoftwareTpm) -> None:
    placed(signer)
    placed(signer, magic=structures.GENERATED)  # the overriding itself breaks nothing


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"magic": 0xFF544348}, Reason.NOT_TPM_GENERATED),
        ({"type": 0x8017, "body": b"\0\0\0\0"}, Reason.NOT_A_QUOTE),
        ({"qualified_signer": b"\0\x0b" + bytes(32)}, Reason.QUALIFIED_SIGNER),
    ],
    ids=["magic", "type", "signer"],
)
def test_a_first_quote_must_say_where_the_key_is(
    signer: SoftwareTpm, overrides: dict[str, object], reason: Reason
) -> None:
    with pytest.raises(RefusedError) as caught:
        placed(signer, **overrides)
    assert caught.value.reason is reason


def test_a_first_quote_over_another_nonce_is_refused(signer: SoftwareTpm) -> None:
    key = EnrolledKey(
        attester="host-a",
        kind=signer.kind,
        public=signer.ak_public,
        name=signer.name,
        qualified_name=signer.qualified_name,
    )
    with pytest.raises(RefusedError) as caught:
        check_place(signer.evidence(_NONCE, _PCRS), key, _NONCE[:-1])
    assert caught.value.reason is Reason.NONCE_MISMATCH
