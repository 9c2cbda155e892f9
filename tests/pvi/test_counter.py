"""A look counts if the VM's key signed it over the one counter; counts show a rollback and a copy."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cryptography import x509

from harness.attest.evidence import RefusedError
from harness.attest.played.software_tpm import CERTIFY, SoftwareTpm
from harness.attest.reasons import Reason
from harness.json_types import Json
from harness.pvi import counter
from harness.pvi.counter import NV, Counted
from harness.pvi.factory import authority
from harness.pvi.factory.authority import moment
from harness.pvi.factory.profiles import Profile
from tests.pvi.factory.places import NOW_NS, RSA_KEY, VM, asked

CHALLENGE = bytes(range(32))
OTHER_VM = VM.replace("1", "2")


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def nv_body(count: int, *, name: bytes | None = None, offset: int = 0, size_bytes: int = 8) -> bytes:
    """TPMS_NV_CERTIFY_INFO."""
    content = count.to_bytes(8, "big")[:size_bytes]
    return (
        _sized(counter.index_name() if name is None else name) + offset.to_bytes(2, "big") + _sized(content)
    )


def looked(
    tpm: SoftwareTpm, count: int, *, challenge: bytes = CHALLENGE, body: bytes | None = None, **fields: object
) -> Mapping[str, Json]:
    """A look at the vTPM, as the log keeps it."""
    said = {"type": NV, "body": nv_body(count) if body is None else body, **fields}
    nonce = counter.qualifying(challenge, VM)
    attest, signature = tpm.quote(nonce, {}, **said)  # type: ignore[arg-type]
    return counter.body(CHALLENGE, attest, signature)


@pytest.fixture(scope="module", params=["ecc-p256", "rsa-2048"])
def vtpm(request: pytest.FixtureRequest) -> SoftwareTpm:
    return SoftwareTpm(request.param)


@pytest.fixture(scope="module")
def certificate(vtpm: SoftwareTpm) -> x509.Certificate:
    """The VM's identity."""
    root = authority.root("shop", "physical", moment(NOW_NS))
    issuing = authority.issuing("shop", "physical", root, moment(NOW_NS))
    endorsement = authority.certificate(
        asked(Profile.VTPM, key=RSA_KEY.public_key()), issuing, "physical", moment(NOW_NS)
    )
    wanted = asked(Profile.VM, key=vtpm.ak.public_key(), endorsement=endorsement)
    return authority.certificate(wanted, issuing, "physical", moment(NOW_NS))


def _refused(said: Mapping[str, Json], certificate: x509.Certificate, uuid: str = VM) -> Reason:
    with pytest.raises(RefusedError) as refused:
        counter.checked(said, uuid, certificate)
    return refused.value.reason


def test_an_honest_look_says_count_and_clock(vtpm: SoftwareTpm, certificate: x509.Certificate) -> None:
    found = counter.checked(looked(vtpm, 7), VM, certificate)
    assert (found.count, found.clock) == (7, vtpm.clock)


def test_a_look_of_another_key_or_scheme_is_refused(vtpm: SoftwareTpm, certificate: x509.Certificate) -> None:
    assert _refused(looked(vtpm.another_key(), 7), certificate) is Reason.SIGNATURE_INVALID
    other = SoftwareTpm("rsa-2048" if vtpm.kind == "ecc-p256" else "ecc-p256")
    assert _refused(looked(other, 7), certificate) is Reason.SCHEME_MISMATCH


def test_a_look_that_answers_another_challenge_or_vm_is_refused(
    vtpm: SoftwareTpm, certificate: x509.Certificate
) -> None:
    old = looked(vtpm, 7, challenge=bytes(32))
    assert _refused(old, certificate) is Reason.NONCE_MISMATCH
    assert _refused(looked(vtpm, 7), certificate, OTHER_VM) is Reason.NONCE_MISMATCH
    short = {**looked(vtpm, 7), "challenge": ""}
    assert _refused(short, certificate) is Reason.NONCE_MISMATCH


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"magic": 1}, Reason.NOT_TPM_GENERATED),
        ({"type": CERTIFY}, Reason.NOT_A_QUOTE),
        ({"body": nv_body(7, name=b"\x00\x0b" + bytes(32))}, Reason.KEY_ATTRIBUTES),
        ({"body": nv_body(7, offset=4)}, Reason.MALFORMED_ATTEST),
        ({"body": nv_body(7, size_bytes=4)}, Reason.MALFORMED_ATTEST),
        ({"body": nv_body(7) + b"\0"}, Reason.TRAILING_BYTES),
        ({"body": b""}, Reason.MALFORMED_ATTEST),
    ],
)
def test_what_is_no_look_at_the_counter_is_refused(
    vtpm: SoftwareTpm, certificate: x509.Certificate, changed: dict[str, object], reason: Reason
) -> None:
    assert _refused(looked(vtpm, 7, **changed), certificate) is reason  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["challenge", "attest", "signature"])
@pytest.mark.parametrize("value", [None, 7, "x", "é"])
def test_an_entry_that_is_no_look_is_refused(
    vtpm: SoftwareTpm, certificate: x509.Certificate, key: str, value: Json
) -> None:
    assert _refused({**looked(vtpm, 7), key: value}, certificate) is Reason.MALFORMED_EVIDENCE


PUT_BACK, COPIED = "its state was put back", "it was copied"


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([], []),
        ([5], []),
        ([5, 6, 7], []),
        ([5, 7, 8], []),
        ([5, 6, 7, 7], [(3, PUT_BACK)]),
        ([5, 6, 7, 6], [(3, PUT_BACK)]),
        ([5, 6, 7, 6, 7, 8, 9], [(3, PUT_BACK)]),
        ([5, 6, 7, 6, 8], [(3, PUT_BACK), (4, COPIED)]),
        ([5, 6, 7, 6, 7, 8, 8], [(3, PUT_BACK), (6, COPIED)]),
        ([7, 8, 8, 9, 9], [(2, PUT_BACK), (4, COPIED)]),
        ([7, 8, 8, 9, 9, 10, 10], [(2, PUT_BACK), (4, COPIED), (6, COPIED)]),
        ([9, 3, 4, 1, 2], [(1, PUT_BACK), (3, PUT_BACK)]),
    ],
)
def test_one_line_of_counts_is_in_order_a_second_is_not(
    counts: list[int], found: list[tuple[int, str]]
) -> None:
    said = [*counter.doubts([Counted(entry, count) for entry, count in enumerate(counts)])]
    assert [entry for entry, _ in said] == [entry for entry, _ in found]
    assert all(text.endswith(ending) for (_, text), (_, ending) in zip(said, found, strict=True))
