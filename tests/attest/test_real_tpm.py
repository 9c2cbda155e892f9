"""The parsers compared with a real TPM, and the TPM in software keys with tpm2_checkquote: byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.attest.played import marshal
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.played.software_tpm import (
    AK_ATTRIBUTES,
    EK_ATTRIBUTES,
    EK_POLICY,
    NONCE,
    PCRS,
    SoftwareTpm,
)
from harness.attest.tpm.algorithms import Alg
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import (
    ENDORSEMENT,
    GENERATED,
    QUOTE,
    Selection,
    name_of,
    parse_attest,
    parse_public,
    parse_signature,
    qualified_name,
)

pytestmark = pytest.mark.programs

SCHEMES = {"ecdsa": ("ecc", Alg.ECDSA), "rsassa": ("rsa", Alg.RSASSA), "rsapss": ("rsa", Alg.RSAPSS)}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_real_quote_reads_and_verifies(scheme: str, swtpm: LocalTpm) -> None:
    algorithm, number = SCHEMES[scheme]
    swtpm.run("tpm2_createek", "-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub")
    swtpm.flush()
    swtpm.run(
        *("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", algorithm, "-g", "sha256", "-s", scheme),
        *("-u", "ak.pub", "-n", "ak.name", "-q", "ak.qname"),
    )
    swtpm.flush()
    swtpm.run("tpm2_pcrextend", "7:sha256=" + "5a" * 32)
    swtpm.run(
        *(
            "tpm2_quote",
            "-c",
            "ak.ctx",
            "-l",
            "sha256:0,4,7,10",
            "-q",
            NONCE.hex(),
            "-m",
            "attest",
            "-s",
            "sig",
        ),
        *("-o", "pcrs", "-F", "values", "-g", "sha256", "--scheme", scheme),
    )
    ek_public, ak_public = ((swtpm.folder / name).read_bytes()[2:] for name in ("ek.pub", "ak.pub"))
    raw, signature, values = ((swtpm.folder / name).read_bytes() for name in ("attest", "sig", "pcrs"))

    key = AttestationKey.from_public(ak_public)
    assert (key.scheme, key.attributes, key.attributes_ok) == (number, AK_ATTRIBUTES, True)
    assert key.name == (swtpm.folder / "ak.name").read_bytes()
    qualified = qualified_name(qualified_name(ENDORSEMENT, name_of(ek_public)), key.name)
    assert qualified == (swtpm.folder / "ak.qname").read_bytes()
    assert key.verify(parse_signature(signature), raw)

    attest = parse_attest(raw)
    assert (attest.magic, attest.type, attest.extra_data) == (GENERATED, QUOTE, NONCE)
    assert attest.qualified_signer == qualified
    assert attest.selections == (Selection(hash_alg=Alg.SHA256, pcrs=(0, 4, 7, 10)),)
    assert attest.pcr_digest == hashlib.sha256(values).digest()
    assert attest.clock.safe
    assert attest.clock.clock_ms > 0

    assert marshal.attest(attest) == raw
    assert marshal.signature(parse_signature(signature)) == signature
    assert marshal.public(parse_public(ak_public)) == ak_public
    assert marshal.public(parse_public(ek_public)) == ek_public
    assert (parse_public(ek_public).attributes, parse_public(ek_public).auth_policy) == (
        EK_ATTRIBUTES,
        EK_POLICY,
    )


def test_a_real_quote_of_a_bank_that_is_not_allocated_covers_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(tmp_path, state=state) as tpm:
        tpm.run("tpm2_pcrallocate", "sha1:none+sha256:all+sha384:none+sha512:none")
    with running(tmp_path, state=state) as tpm:
        tpm.run("tpm2_createek", "-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub")
        tpm.flush()
        tpm.run(
            *("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa"),
            *("-u", "ak.pub"),
        )
        tpm.flush()
        tpm.run(
            *(
                "tpm2_quote",
                "-c",
                "ak.ctx",
                "-l",
                "sha384:0,7",
                "-q",
                NONCE.hex(),
                "-m",
                "attest",
                "-s",
                "sig",
            ),
            *("-g", "sha256"),
        )
    raw = (tmp_path / "attest").read_bytes()
    key = AttestationKey.from_public((tmp_path / "ak.pub").read_bytes()[2:])
    assert key.verify(parse_signature((tmp_path / "sig").read_bytes()), raw)
    attest = parse_attest(raw)
    assert attest.pcr_digest == hashlib.sha256(b"").digest()
    assert attest.selections is not None
    assert not any(one.pcrs for one in attest.selections)
    assert marshal.attest(attest) == raw


@pytest.mark.parametrize("kind", ["ecc-p256", "rsa-2048"])
def test_checkquote_takes_a_quote_in_software_keys_as_a_tpms(
    kind: str, swtpm: LocalTpm, tpms: dict[str, SoftwareTpm]
) -> None:
    tpm = tpms[kind]
    attest, signature = tpm.quote(NONCE, PCRS)
    assert _checkquote(swtpm, tpm, attest, signature, NONCE) == 0
    assert _checkquote(swtpm, tpm, attest, signature, bytes(32)) != 0
    assert _checkquote(swtpm, tpm, attest[:-1] + bytes([attest[-1] ^ 1]), signature, NONCE) != 0


def _checkquote(local: LocalTpm, tpm: SoftwareTpm, attest: bytes, signature: bytes, nonce: bytes) -> int:
    """The exit status of tpm2_checkquote over signature, nonce and PCR values."""
    for name, content in (
        ("ak.pub", marshal.sized(tpm.ak_public)),
        ("attest", attest),
        ("sig", signature),
        ("pcrs", b"".join(PCRS[pcr] for pcr in sorted(PCRS))),
    ):
        (local.folder / name).write_bytes(content)
    selected = "sha256:" + ",".join(str(pcr) for pcr in sorted(PCRS))
    return local.run(
        *("tpm2_checkquote", "-u", "ak.pub", "-m", "attest", "-s", "sig", "-q", nonce.hex(), "-g", "sha256"),
        *("-f", "pcrs", "-l", selected),
        check=False,
    ).returncode
