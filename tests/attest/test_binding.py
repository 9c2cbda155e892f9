"""A guest's quote and its host's: what the host signs, and what both prove together."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import TypeAlias, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.guest.binding import Linkage, Linked, Proved, host_nonce, verify_linked
from harness.attest.identity.enrolled import EnrolledKey
from harness.attest.played.software_tpm import CLOCK, FIRMWARE, SoftwareTpm, changed
from harness.attest.reasons import Reason, Tier
from harness.attest.result import AttestationResult
from harness.attest.verify.memory import Memory
from harness.attest.verify.verifier import Verification

UUID = "3f1c9a52-7a1e-4a5e-9b42-0d6b1f6f6c01"
NONCE = bytes(range(32))
VAK = b"\x00\x0b" + bytes(32)

Fields: TypeAlias = tuple[bytes, bytes, bytes, str, str, int]


def test_the_hosts_nonce_is_the_hash_of_the_fields_in_their_order() -> None:
    fields = (
        b"bind-v1",
        b"\x00\x20" + NONCE,
        hashlib.sha256(b"attest").digest(),
        b"\x00\x22" + VAK,
        uuid.UUID(UUID).bytes,
        b"\x00\x06" + b"host-a",
        b"\x00\x00\x00\x00\x00\x00\x00\x05",
    )

    assert host_nonce(NONCE, b"attest", VAK, UUID, "host-a", 5) == hashlib.sha256(b"".join(fields)).digest()


def test_the_hosts_nonce_stays_what_it_is() -> None:
    found = host_nonce(NONCE, b"attest", VAK, UUID, "höst", 2**64 - 1)

    assert found.hex() == "f7506cce8711bedce16a55a8c5ddf1c26cff496859216ba5033b9db5f58f5e3c"


def test_a_uuid_is_the_same_however_it_is_spelt() -> None:
    spelt = {host_nonce(NONCE, b"attest", VAK, one, "a", 1) for one in (UUID, UUID.upper(), f"{{{UUID}}}")}

    assert len(spelt) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nonce": bytes(15)}, Reason.NONCE_SHORT),
        ({"nonce": b""}, Reason.NONCE_SHORT),
        ({"nonce": bytes(0x10000)}, Reason.BINDING),
        ({"guest_attest": b""}, Reason.BINDING),
        ({"vak_name": b""}, Reason.BINDING),
        ({"vak_name": bytes(0x10000)}, Reason.BINDING),
        ({"vm_uuid": "guest"}, Reason.BINDING),
        ({"vm_uuid": ""}, Reason.BINDING),
        ({"host_id": ""}, Reason.BINDING),
        ({"host_id": "\udc00"}, Reason.BINDING),
        ({"host_id": "a" * 0x10000}, Reason.BINDING),
        ({"epoch": -1}, Reason.BINDING),
        ({"epoch": 2**64}, Reason.BINDING),
    ],
)
def test_fields_that_cannot_be_are_refused(change: dict[str, object], reason: Reason) -> None:
    fields = {
        "nonce": NONCE,
        "guest_attest": b"attest",
        "vak_name": VAK,
        "vm_uuid": UUID,
        "host_id": "host-a",
        "epoch": 5,
    }
    with pytest.raises(RefusedError) as refused:
        host_nonce(**{**fields, **change})  # type: ignore[arg-type]

    assert refused.value.reason is reason


def test_fields_may_be_as_long_as_their_length_can_say() -> None:
    assert len(host_nonce(bytes(0xFFFF), b"attest", bytes(0xFFFF), UUID, "a" * 0xFFFF, 5)) == 32


fields = st.tuples(
    st.binary(min_size=16, max_size=20),
    st.binary(min_size=1, max_size=3),
    st.binary(min_size=1, max_size=3),
    st.uuids().map(str),
    st.text(min_size=1, max_size=3).filter(lambda text: text.isprintable()),
    st.integers(0, 2**64 - 1),
)


@given(fields, fields, st.integers(0, 5))
def test_no_two_sets_of_fields_have_one_nonce(
    first: Fields,
    second: Fields,
    one: int,
) -> None:
    """Neither all different nor different in one field alone."""
    near = cast(Fields, (*first[:one], second[one], *first[one + 1 :]))

    assert (host_nonce(*first) == host_nonce(*second)) == (first == second)
    assert (host_nonce(*first) == host_nonce(*near)) == (first == near)


@given(st.binary(min_size=17, max_size=40), st.binary(min_size=2, max_size=40), st.integers(1, 15))
def test_what_moves_from_one_field_to_the_next_is_another_nonce(
    nonce: bytes, name: bytes, moved: int
) -> None:
    shifted = nonce + name[:moved], name[moved:] or b"\x00"

    assert host_nonce(nonce, b"x", name, UUID, "a", 1) != host_nonce(
        shifted[0], b"x", shifted[1], UUID, "a", 1
    )


def proved(
    tpm: SoftwareTpm, name: str, nonce: bytes, *, tier: Tier = Tier.AFFIRMING, expires_ns: int = 100
) -> Proved:
    """Evidence of `tpm` that the verifier accepted as that of `name`."""
    key = EnrolledKey(
        attester=name,
        kind=tpm.kind,
        public=tpm.ak_public,
        name=tpm.name,
        qualified_name=tpm.qualified_name,
    )
    result = AttestationResult(
        attester=name,
        key=tpm.kind,
        tier=tier,
        reason=Reason.ACCEPTED,
        detail="",
        claims={},
        vector={},
        policy="test",
        generated_ns=10,
        expires_ns=expires_ns,
    )
    memory = Memory(clock=CLOCK, firmware_version=FIRMWARE, ima=None, basis="", findings=())
    verification = Verification(result=result, steps=(), memory=memory)
    return Proved(evidence=tpm.evidence(nonce), verification=verification, key=key)


class Pair:
    """An honest guest on an honest host, and what is to be proved."""

    def __init__(self, kind: KeyType = "ecc-p256") -> None:
        self.guest_tpm, self.host_tpm = SoftwareTpm(kind), SoftwareTpm(kind)
        self.linkage = Linkage(
            nonce=NONCE, vak_name=self.guest_tpm.name, guest="guest", vm_uuid=UUID, host_id="host-a", epoch=5
        )
        self.guest = proved(self.guest_tpm, "guest", NONCE)
        self.host = self.vouched(self.guest)

    def vouched(self, guest: Proved, *, expires_ns: int = 100, tier: Tier = Tier.AFFIRMING) -> Proved:
        link = self.linkage
        nonce = host_nonce(
            link.nonce, guest.evidence.attest, link.vak_name, link.vm_uuid, link.host_id, link.epoch
        )
        return proved(self.host_tpm, "host-a", nonce, expires_ns=expires_ns, tier=tier)

    def judge(self) -> Linked:
        return verify_linked(self.guest, self.host, self.linkage)


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize("kind", ["ecc-p256", "rsa-2048"])
def test_a_guest_on_its_host_is_accepted_until_the_first_of_both_expires(kind: KeyType) -> None:
    pair = Pair(kind)
    pair.host = pair.vouched(pair.guest, expires_ns=60)
    linked = pair.judge()

    assert (linked.accepted, linked.tier, linked.reason) == (True, Tier.AFFIRMING, Reason.ACCEPTED)
    assert (linked.expires_ns, linked.why) == (60, "")
    assert (linked.guest.attester, linked.host.attester) == ("guest", "host-a")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonce", bytes(32)),
        ("vak_name", VAK),
        ("guest", "other"),
        ("guest", ""),
        ("vm_uuid", "00000000-0000-0000-0000-000000000001"),
        ("host_id", "host-b"),
        ("epoch", 4),
        ("epoch", 6),
    ],
)
def test_a_link_that_differs_in_one_thing_is_none(pair: Pair, field: str, value: object) -> None:
    pair.linkage = replace(pair.linkage, **{field: value})  # type: ignore[arg-type]
    linked = pair.judge()

    assert (linked.reason, linked.tier, linked.expires_ns) == (Reason.BINDING, Tier.CONTRAINDICATED, None)
    assert linked.why


def test_spliced_quotes_do_not_belong_together(pair: Pair) -> None:
    """The host vouched for another quote of the same guest over the same nonce."""
    other = replace(
        pair.guest, evidence=changed(pair.guest.evidence, attest=pair.guest_tpm.attested(NONCE, {7: VAK}))
    )
    pair.host = pair.vouched(other)

    assert pair.judge().reason is Reason.BINDING


def test_a_guests_quote_of_another_round_is_not_taken_because_the_host_vouched_for_it(pair: Pair) -> None:
    pair.guest = proved(pair.guest_tpm, "guest", bytes(32))
    pair.host = pair.vouched(pair.guest)

    assert pair.judge().why == "the guest's quote is over another nonce"


def test_another_hosts_quote_over_the_right_nonce_does_not_vouch(pair: Pair) -> None:
    host_b = SoftwareTpm("ecc-p256")
    nonce = host_nonce(NONCE, pair.guest.evidence.attest, pair.guest_tpm.name, UUID, "host-a", 5)
    pair.host = proved(host_b, "host-b", nonce)

    assert pair.judge().reason is Reason.BINDING


def test_a_guest_with_the_hosts_own_key_is_the_host(pair: Pair) -> None:
    pair.guest = proved(pair.host_tpm, "guest", NONCE)
    pair.linkage = replace(pair.linkage, vak_name=pair.host_tpm.name)
    pair.host = pair.vouched(pair.guest)

    assert pair.judge().reason is Reason.BINDING


def test_evidence_that_was_not_verified_is_not_linked(pair: Pair) -> None:
    later = replace(CLOCK, clock_ms=CLOCK.clock_ms + 1)
    pair.guest = replace(pair.guest, evidence=pair.guest_tpm.evidence(NONCE, clock=later))
    pair.host = pair.vouched(pair.guest)
    linked = pair.judge()

    assert (linked.reason, linked.why) == (Reason.BINDING, "the guest's result is of other evidence")


def test_a_key_that_is_not_enrolled_proves_nothing(pair: Pair) -> None:
    pair.guest = replace(pair.guest, key=None)

    assert pair.judge().reason is Reason.BINDING


@pytest.mark.parametrize(
    ("reason", "tier"),
    [(Reason.PCR_VALUE, Tier.CONTRAINDICATED), (Reason.TIMED_OUT, Tier.NONE), (Reason.ACCEPTED, Tier.NONE)],
)
@pytest.mark.parametrize("who", ["guest", "host"])
def test_a_quote_that_was_not_accepted_makes_the_link_none(
    pair: Pair, who: str, reason: Reason, tier: Tier
) -> None:
    one: Proved = getattr(pair, who)
    result = replace(one.verification.result, reason=reason, tier=tier)
    setattr(pair, who, replace(one, verification=Verification(result=result, steps=(), memory=None)))
    linked = pair.judge()

    expected = Reason.NOTHING_APPRAISED if reason is Reason.ACCEPTED else reason
    assert (linked.reason, linked.tier, linked.accepted) == (expected, tier, False)
    assert who in linked.why


@pytest.mark.parametrize("tier", [Tier.WARNING, Tier.AFFIRMING])
def test_the_link_is_no_better_than_its_worse_half(pair: Pair, tier: Tier) -> None:
    pair.host = pair.vouched(pair.guest, tier=tier)

    assert pair.judge().tier is tier


def test_a_link_that_cannot_be_expressed_is_refused_and_not_an_error(pair: Pair) -> None:
    pair.linkage = replace(pair.linkage, vm_uuid="no uuid")

    assert pair.judge().reason is Reason.BINDING
