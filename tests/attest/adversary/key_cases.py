"""Quotes by other keys than the enrolled one, and enrolled keys that cannot be believed."""

from __future__ import annotations

from functools import partial

from harness.attest.evidence import KeyType
from harness.attest.played.software_tpm import AK_ATTRIBUTES, NONCE, SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm import keys, structures
from harness.attest.tpm.structures import qualified_name
from tests.attest.adversary.case import Case, grouped
from tests.attest.adversary.stage import Asked, Stage, policy

OWNER = (0x40000001).to_bytes(4, "big")
"""TPM_RH_OWNER: the storage hierarchy."""


def _other_kind(stage: Stage) -> KeyType:
    return "rsa-2048" if stage.kind == "ecc-p256" else "ecc-p256"


def _signed_by(stage: Stage, tpm: SoftwareTpm, *, as_itself: bool) -> Asked:
    """The platform's PCR values, signed by another key that names itself or the enrolled one."""
    name = tpm.qualified_name if as_itself else stage.tpm.qualified_name
    return stage.quoting(signed_by=tpm, qualified_signer=name)


def _weak(stage: Stage, attributes: int) -> Asked:
    """An enrolled key with other attributes, which signs whatever its owner wants."""
    weak = stage.tpm.another_key(attributes=attributes)
    attest = weak.attested(NONCE, stage.pcrs, clock=stage.clock())
    scene = stage.honest().sent(attest=attest, signature=weak.sign(attest))
    return scene.asked(key=stage.enrolled(weak))


def _other_hierarchy(stage: Stage) -> Asked:
    parent = qualified_name(OWNER, structures.name_of(stage.tpm.ek_public))
    return stage.quoting(qualified_signer=qualified_name(parent, stage.tpm.name))


def _other_host(stage: Stage) -> Asked:
    """All that another host says about itself, sent as the answer of this one."""
    attest, signature = stage.other.quote(NONCE, stage.pcrs, clock=stage.clock())
    return stage.honest().sent(attest=attest, signature=signature)


def _renamed(stage: Stage) -> Asked:
    """The registry's key was exchanged and its name was not."""
    return stage.honest().enrolled(public=stage.other.ak_public)


def _exchanged(stage: Stage) -> Asked:
    scene = _other_host(stage)
    return scene.enrolled(public=stage.other.ak_public, qualified_name=stage.other.qualified_name)


CASES: tuple[Case, ...] = (
    *grouped(
        "keys",
        (
            "other-key-of-the-tpm",
            Reason.SIGNATURE_INVALID,
            "Another attestation key of the same TPM",
            lambda stage: _signed_by(stage, stage.second_key, as_itself=True),
        ),
        (
            "other-key-of-the-tpm-named",
            Reason.SIGNATURE_INVALID,
            "Another key of the same TPM under the enrolled key's name",
            lambda stage: _signed_by(stage, stage.second_key, as_itself=False),
        ),
        ("other-host", Reason.SIGNATURE_INVALID, "Another host's honest quote", _other_host),
        (
            "other-host-named",
            Reason.SIGNATURE_INVALID,
            "Another host's key under the enrolled key's name",
            lambda stage: _signed_by(stage, stage.other, as_itself=False),
        ),
        (
            "not-enrolled",
            Reason.KEY_UNKNOWN,
            "No key of the attester is enrolled",
            lambda stage: stage.honest().asked(key=None),
        ),
        (
            "other-key-type",
            Reason.KEY_UNKNOWN,
            "The answer says it is by a key of another type",
            lambda stage: stage.honest().sent(key=_other_kind(stage)),
        ),
        ("registry-exchanged", Reason.KEY_UNKNOWN, "The enrolled key is not the one of its name", _renamed),
        ("registry-exchanged-whole", Reason.KEY_UNKNOWN, "The same, with a quote by that key", _exchanged),
        (
            "revoked",
            Reason.KEY_REVOKED,
            "A key that was revoked",
            lambda stage: stage.honest().enrolled(revoked=True),
        ),
        (
            "key-type-not-allowed",
            Reason.SCHEME_NOT_ALLOWED,
            "A type of key that the policy does not list",
            lambda stage: stage.honest().asked(policy=policy(keys=(_other_kind(stage),))),
        ),
        (
            "key-type-allowed",
            Reason.ACCEPTED,
            "The only type of key that the policy lists",
            lambda stage: stage.honest().asked(policy=policy(keys=(stage.kind,))),
        ),
        ("other-hierarchy", Reason.QUALIFIED_SIGNER, "The key in the owner's hierarchy", _other_hierarchy),
        (
            "no-signer",
            Reason.QUALIFIED_SIGNER,
            "A quote that names no key",
            lambda stage: stage.quoting(qualified_signer=b""),
        ),
        (
            "signer-by-name-only",
            Reason.QUALIFIED_SIGNER,
            "A quote that gives the key's name for its qualified name",
            lambda stage: stage.quoting(qualified_signer=stage.tpm.name),
        ),
        *(
            (f"key-{name}", Reason.KEY_ATTRIBUTES, title, partial(_weak, attributes=attributes))
            for name, title, attributes in (
                ("unrestricted", "An unrestricted key, a hand-made quote", AK_ATTRIBUTES & ~keys.RESTRICTED),
                ("not-signing", "A key that is not for signing", AK_ATTRIBUTES & ~keys.SIGN),
                ("not-fixed-tpm", "A key that may leave its TPM", AK_ATTRIBUTES & ~keys.FIXED_TPM),
                (
                    "not-fixed-parent",
                    "A key that may move to another parent",
                    AK_ATTRIBUTES & ~keys.FIXED_PARENT,
                ),
                (
                    "imported",
                    "A key that was made outside and imported",
                    AK_ATTRIBUTES & ~keys.SENSITIVE_DATA_ORIGIN,
                ),
                ("decrypting", "A key that decrypts as well", AK_ATTRIBUTES | keys.DECRYPT),
            )
        ),
    ),
)
"""Wrong authorities and credentials for other keys: :mod:`tests.attest.adversary.enrolment_cases`."""
