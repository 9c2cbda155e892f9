"""Credentials made in software: a real TPM opens them for the right key, and for no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.attest.evidence import KeyType, RefusedError
from harness.attest.played import marshal
from harness.attest.played.local_tpm import LocalTpm
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.tpm import keys
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.credential import make_credential
from harness.attest.tpm.structures import Public, Symmetric, name_of, parse_public
from harness.attest.tpm.wrapping import kdfa, kdfe

KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
TOOL_HEADER = bytes.fromhex("badcc0de00000001")
"""What tpm2-tools write before a credential in a file."""


def _keys(tpm: LocalTpm, kind: KeyType, ek: KeyType | None = None) -> tuple[bytes, bytes]:
    """The public areas of an endorsement and an attestation key that `tpm` makes: ek.ctx and ak.ctx."""
    algorithm, scheme = ("rsa", "rsassa") if kind == "rsa-2048" else ("ecc", "ecdsa")
    tpm.run(
        "tpm2_createek", "-c", "ek.ctx", "-G", "rsa" if (ek or kind) == "rsa-2048" else "ecc", "-u", "ek.pub"
    )
    tpm.flush()
    tpm.run(
        *("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-u", "ak.pub"),
        *("-G", algorithm, "-g", "sha256", "-s", scheme),
    )
    tpm.flush()
    return (tpm.folder / "ek.pub").read_bytes()[2:], (tpm.folder / "ak.pub").read_bytes()[2:]


def _activated(tpm: LocalTpm, credential: bytes, secret: bytes) -> bytes | None:
    """What the TPM says is in the credential; None where it refuses to open it."""
    (tpm.folder / "credential").write_bytes(TOOL_HEADER + credential + secret)
    out = tpm.folder / "opened"
    out.unlink(missing_ok=True)
    tpm.run("tpm2_startauthsession", "--policy-session", "-S", "session.ctx")
    tpm.run("tpm2_policysecret", "-S", "session.ctx", "-c", "e")
    done = tpm.run(
        *("tpm2_activatecredential", "-c", "ak.ctx", "-C", "ek.ctx", "-P", "session:session.ctx"),
        *("-i", "credential", "-o", str(out)),
        check=False,
    )
    tpm.run("tpm2_flushcontext", "session.ctx")
    tpm.flush()
    return out.read_bytes() if done.returncode == 0 else None


@pytest.mark.parametrize("ek", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_real_tpm_opens_what_was_made_for_it(kind: KeyType, ek: KeyType, swtpm: LocalTpm) -> None:
    ek_public, ak_public = _keys(swtpm, kind, ek)
    for secret in (b"x", b"sixteen bytes 16", bytes(range(32))):
        credential, encrypted = make_credential(ek_public, name_of(ak_public), secret)
        assert _activated(swtpm, credential, encrypted) == secret


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_tpm_opens_nothing_made_for_another_key(
    kind: KeyType, swtpm: LocalTpm, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    ek_public, ak_public = _keys(swtpm, kind)
    other = tpms[kind]
    assert _activated(swtpm, *make_credential(ek_public, other.name, bytes(32))) is None
    assert _activated(swtpm, *make_credential(other.ek_public, name_of(ak_public), bytes(32))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_of_a_credential_can_be_changed(kind: KeyType, tpms: dict[KeyType, SoftwareTpm]) -> None:
    tpm = tpms[kind]
    credential, encrypted = make_credential(tpm.ek_public, tpm.name, bytes(range(32)))
    assert tpm.activate(credential, encrypted) == bytes(range(32))
    for bit in range(8 * len(credential)):
        changed = bytearray(credential)
        changed[bit // 8] ^= 1 << bit % 8
        assert tpm.activate(bytes(changed), encrypted) is None, bit


@pytest.mark.parametrize("kind", KINDS)
def test_two_credentials_of_one_secret_have_nothing_in_common(
    kind: KeyType, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    first, second = (make_credential(tpms[kind].ek_public, tpms[kind].name, bytes(32)) for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("size_bytes", [0, 33])
def test_a_secret_has_a_size_that_a_tpm_takes(size_bytes: int, tpms: dict[KeyType, SoftwareTpm]) -> None:
    tpm = tpms["ecc-p256"]
    assert _refusal(tpm.ek_public, tpm.name, bytes(size_bytes)) is Reason.CREDENTIAL


@pytest.mark.parametrize("name", [b"", bytes(34), bytes.fromhex("000c") + bytes(48), bytes.fromhex("000b")])
def test_what_is_no_name_is_refused(name: bytes, tpms: dict[KeyType, SoftwareTpm]) -> None:
    assert _refusal(tpms["ecc-p256"].ek_public, name, bytes(32)) is Reason.CREDENTIAL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        *(
            lambda area, bit=bit: replace(area, attributes=area.attributes & ~bit)
            for bit in (
                keys.RESTRICTED,
                keys.DECRYPT,
                keys.FIXED_TPM,
                keys.FIXED_PARENT,
                keys.SENSITIVE_DATA_ORIGIN,
            )
        ),
        lambda area: replace(area, attributes=area.attributes | keys.SIGN),
        lambda area: replace(area, name_alg=Alg.SHA1),
        lambda area: replace(area, name_alg=Alg.SHA384),
        lambda area: replace(area, symmetric=None),
        lambda area: replace(area, symmetric=Symmetric(alg=Alg.AES, key_bits=256, mode=Alg.CFB)),
        lambda area: replace(area, symmetric=Symmetric(alg=Alg.SM4, key_bits=128, mode=Alg.CFB)),
        lambda area: replace(area, symmetric=Symmetric(alg=Alg.AES, key_bits=128, mode=0x0044)),
        lambda area: replace(
            area, scheme=Alg.OAEP if area.type == Alg.RSA else Alg.ECDH, hash_alg=Alg.SHA256
        ),
    ],
)
def test_what_is_no_endorsement_key_gets_no_credential(
    kind: KeyType, change: Callable[[Public], Public], tpms: dict[KeyType, SoftwareTpm]
) -> None:
    area = change(parse_public(tpms[kind].ek_public))
    assert _refusal(marshal.public(area), tpms[kind].name, bytes(32)) is Reason.EK_KEY


@pytest.mark.parametrize("kind", KINDS)
def test_an_attestation_key_or_broken_bytes_get_no_credential(
    kind: KeyType, tpms: dict[KeyType, SoftwareTpm]
) -> None:
    tpm = tpms[kind]
    for public in (tpm.ak_public, b"", tpm.ek_public[:-1], tpm.ek_public + b"\0"):
        assert _refusal(public, tpm.name, bytes(32)) is Reason.EK_KEY


def _refusal(ek_public: bytes, name: bytes, secret: bytes) -> Reason:
    with pytest.raises(RefusedError) as refused:
        make_credential(ek_public, name, secret)
    return refused.value.reason


def test_key_derivation_uses_as_many_blocks_as_it_needs() -> None:
    assert kdfa(b"key", "LABEL", b"u", 512)[:16] != kdfa(b"key", "LABEL", b"u", 128)
    assert [len(kdfa(b"key", "LABEL", b"u", bits)) for bits in (128, 256, 264, 512)] == [16, 32, 33, 64]
    assert [len(kdfe(b"z", "LABEL", b"u", b"v", bits)) for bits in (128, 256, 264, 512)] == [16, 32, 33, 64]
    assert kdfe(b"z", "LABEL", b"u", b"v", 512)[:32] == kdfe(b"z", "LABEL", b"u", b"v", 256)
    assert kdfe(b"z", "LABEL", b"u", b"v", 512)[32:] != kdfe(b"z", "LABEL", b"u", b"v", 256)
