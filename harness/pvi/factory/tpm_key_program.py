"""Runs on the factory's machine: makes a key in its TPM, or signs a digest with one.

The only request is on standard input, one object of JSON, and the only answer on standard output:

- ``{"tcti": T, "auth": HEX, "make": "yes"}``: ``{"public": HEX, "private": HEX}``, each a TPM2B;
- ``{"tcti": T, "auth": HEX, "public": HEX, "private": HEX, "digest": HEX}``: ``{"r": HEX, "s": HEX}``.

A failure is ``{"failed": TEXT, "code": NUMBER}``. A key is under the storage primary of the owner hierarchy
(TCG's ECC template), and stays in that TPM. It wants `auth`, which no bus shows: the session is salted to the
primary. Needs python3-tpm2-pytss.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_RH,
    TPM2_SE,
    TPM2_ST,
    TPM2B_DIGEST,
    TPM2B_PRIVATE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMA_OBJECT,
    TPMA_SESSION,
    TPMS_SENSITIVE_CREATE,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF,
    TPMT_TK_HASHCHECK,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
    TSS2_Exception,
)

ATTRIBUTES = (
    TPMA_OBJECT.FIXEDTPM
    | TPMA_OBJECT.FIXEDPARENT
    | TPMA_OBJECT.SENSITIVEDATAORIGIN
    | TPMA_OBJECT.USERWITHAUTH
    | TPMA_OBJECT.SIGN_ENCRYPT
)
"""Not NODA: wrong passphrases lock the TPM, as its owner has set that."""


@contextmanager
def flushed(tpm: ESAPI, handle: ESYS_TR) -> Iterator[ESYS_TR]:
    """A transient object or session, until the block ends."""
    try:
        yield handle
    finally:
        tpm.flush_context(handle)


@contextmanager
def parent(tpm: ESAPI) -> Iterator[tuple[ESYS_TR, ESYS_TR]]:
    """The storage primary, and a session whose parameters are encrypted for it."""
    made = tpm.create_primary(None, "ecc", primary_handle=ESYS_TR.OWNER)[0]
    with flushed(tpm, made) as primary:
        cipher = TPMT_SYM_DEF(
            algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(sym=128), mode=TPMU_SYM_MODE(sym=TPM2_ALG.CFB)
        )
        session = tpm.start_auth_session(
            tpm_key=primary,
            bind=ESYS_TR.NONE,
            session_type=TPM2_SE.HMAC,
            symmetric=cipher,
            auth_hash=TPM2_ALG.SHA256,
        )
        tpm.trsess_set_attributes(session, TPMA_SESSION.CONTINUESESSION | TPMA_SESSION.DECRYPT)
        with flushed(tpm, session):
            yield primary, session


def make(tpm: ESAPI, auth: bytes) -> dict[str, str]:
    """A new key on P-256."""
    template = TPM2B_PUBLIC.parse("ecc256:ecdsa-sha256:null", objectAttributes=ATTRIBUTES)
    secret = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(userAuth=auth))
    with parent(tpm) as (primary, session):
        private, public, *_ = tpm.create(primary, secret, template, session1=session)
    return {"public": public.marshal().hex(), "private": private.marshal().hex()}


def sign(tpm: ESAPI, auth: bytes, request: dict[str, str]) -> dict[str, str]:
    """ECDSA over a digest by SHA-256."""
    public, _ = TPM2B_PUBLIC.unmarshal(bytes.fromhex(request["public"]))
    private, _ = TPM2B_PRIVATE.unmarshal(bytes.fromhex(request["private"]))
    ticket = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)
    with parent(tpm) as (primary, session), flushed(tpm, tpm.load(primary, private, public)) as key:
        tpm.tr_set_auth(key, auth)
        scheme = TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL)
        digest = TPM2B_DIGEST(bytes.fromhex(request["digest"]))
        made = tpm.sign(key, digest, scheme, ticket, session1=session)  # owns the memory of its parts
        parts = made.signature.ecdsa
        return {"r": bytes(parts.signatureR).hex(), "s": bytes(parts.signatureS).hex()}


def answered(request: dict[str, str]) -> dict[str, object]:
    """What is said to the request."""
    auth = bytes.fromhex(request["auth"])
    try:
        with ESAPI(request["tcti"]) as tpm:
            return dict(make(tpm, auth) if "make" in request else sign(tpm, auth, request))
    except TSS2_Exception as error:
        return {"failed": str(error), "code": int(error.rc)}


if __name__ == "__main__":
    print(json.dumps(answered(json.load(sys.stdin))))
