"""The attester on a real software TPM: who it is, its keys, credentials, quotes, what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.attest.attester.contract import AttesterError
from harness.attest.evidence import Evidence, KeyType
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.reasons import Reason
from harness.attest.tpm.credential import make_credential
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import (
    ENDORSEMENT,
    GENERATED,
    QUOTE,
    Attest,
    Selection,
    name_of,
    parse_attest,
    parse_public,
    parse_signature,
    qualified_name,
)
from tests.attest import ek_certificates
from tests.attest.attesting import AK_HANDLES, KINDS, ask, attesting, configured, left_behind, with_library

pytestmark = pytest.mark.programs


@pytest.fixture
def attester(swtpm: LocalTpm) -> Iterator[LocalAttester]:
    with attesting(configured(swtpm.folder, swtpm.tcti)) as started:
        yield started


@pytest.fixture(scope="module")
def manufactured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTpm]:
    """A software TPM as a machine of the lab has it: with certificates, and with one bank."""
    folder = tmp_path_factory.mktemp("manufactured")
    ek_certificates.manufacture(folder / "state", folder / "authority")
    with running(folder, state=folder / "state") as tpm:
        yield tpm


def agreed(evidence: Evidence, public: bytes) -> Attest:
    """What was signed, after signature, digest and values were seen to agree."""
    attest = parse_attest(evidence.attest)
    assert AttestationKey.from_public(public).verify(parse_signature(evidence.signature), evidence.attest)
    values = b"".join(evidence.pcrs[pcr] for pcr in sorted(evidence.pcrs))
    assert attest.pcr_digest == hashlib.sha256(values).digest()
    return attest


# -- who it is


def test_it_says_that_a_software_tpm_is_one(attester: LocalAttester, swtpm: LocalTpm) -> None:
    said = attester.identify()
    assert (said.tpm_manufacturer, said.software) == ("IBM", True)
    assert re.fullmatch(r"SW +TPM", said.tpm_vendor)
    assert re.fullmatch(r"2\.0 revision 1\.\d\d", said.tpm_spec)
    assert {"sha256", "sha384"} <= set(said.banks)
    assert said.tpm_properties["0x105"] == int.from_bytes(b"IBM\0", "big")
    assert (said.hostname, said.kernel) == (os.uname().nodename, os.uname().release)
    assert "ESAPI swtpm" in said.versions.values()
    assert not left_behind(swtpm)


def test_it_shows_endorsement_keys_that_no_certificate_speaks_for(attester: LocalAttester) -> None:
    said = attester.identify()
    assert (said.ek_certificates, said.ek_chain, said.preferred_ek) == ({}, (), "rsa-2048")
    for kind, public in said.ek_public.items():
        make_credential(
            public, b"\x00\x0b" + bytes(32), b"secret"
        )  # refuses all but a default template's key
        assert len(parse_public(public).modulus or b"") == (256 if kind == "rsa-2048" else 0)
    assert said.ek_public == attester.identify().ek_public


def test_the_certificate_is_the_endorsement_keys(manufactured: LocalTpm) -> None:
    with attesting(configured(manufactured.folder, manufactured.tcti)) as attester:
        said = attester.identify()
    assert set(said.ek_certificates) == {"0x01c00002", "0x01c00016"}
    key = x509.load_der_x509_certificate(said.ek_certificates["0x01c00002"]).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    modulus = parse_public(said.ek_public["rsa-2048"]).modulus
    assert key.public_numbers().n == int.from_bytes(modulus or b"", "big")
    assert said.preferred_ek == "rsa-2048"
    assert said.banks == ("sha256",)


def test_the_chain_beside_the_certificate_is_read_whole(swtpm: LocalTpm) -> None:
    parts = (os.urandom(700), os.urandom(1300))
    for place, part in enumerate(parts):
        (swtpm.folder / "part").write_bytes(part)
        index = hex(0x01C00100 + place)
        swtpm.run("tpm2_nvdefine", index, "-s", str(len(part)), "-a", "ownerwrite|authread|ownerread")
        swtpm.run("tpm2_nvwrite", index, "-C", "o", "-i", "part")
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        assert attester.identify().ek_chain == parts


def test_a_certificate_is_cut_where_its_place_in_nv_is_filled_up(swtpm: LocalTpm) -> None:
    certificate = b"\x30\x82\x01\x00" + os.urandom(256)
    (swtpm.folder / "padded").write_bytes(certificate + b"\xff" * 40)
    swtpm.run("tpm2_nvdefine", "0x01c0000a", "-s", "300", "-a", "ownerwrite|authread")
    swtpm.run("tpm2_nvwrite", "0x01c0000a", "-C", "o", "-i", "padded")
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        said = attester.identify()
        assert said.ek_certificates == {"0x01c0000a": certificate}
        assert said.preferred_ek == "ecc-p256"
        assert attester.create_key("ecc-p256").ek == "ecc-p256"


def test_a_makers_nonce_and_template_make_the_endorsement_key(swtpm: LocalTpm) -> None:
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        common = attester.identify().ek_public["ecc-p256"]
        (swtpm.folder / "nonce").write_bytes(b"maker's own")
        swtpm.run("tpm2_nvdefine", "0x01c0000b", "-s", "11", "-a", "ownerwrite|authread")
        swtpm.run("tpm2_nvwrite", "0x01c0000b", "-C", "o", "-i", "nonce")
        by_nonce = attester.identify().ek_public["ecc-p256"]
        form = common[: -2 * 34]
        (swtpm.folder / "template").write_bytes(form + (b"\0\x20" + b"x" * 32) * 2)
        swtpm.run("tpm2_nvdefine", "0x01c0000c", "-s", str(len(common)), "-a", "ownerwrite|authread")
        swtpm.run("tpm2_nvwrite", "0x01c0000c", "-C", "o", "-i", "template")
        by_template = attester.identify().ek_public["ecc-p256"]
    assert len({common, by_nonce, by_template}) == 3
    assert by_nonce[: len(form)] == by_template[: len(form)] == form


# -- keys


@pytest.mark.parametrize("ek", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_made_under_the_endorsement_key(
    kind: KeyType, ek: KeyType, attester: LocalAttester, swtpm: LocalTpm
) -> None:
    endorsing = attester.identify().ek_public[ek]
    made = attester.create_key(kind, ek=ek)
    key = AttestationKey.from_public(made.public)
    assert (key.kind, key.attributes_ok, made.ek, made.handle) == (kind, True, ek, AK_HANDLES[kind])
    assert made.name == name_of(made.public)
    above = qualified_name(ENDORSEMENT, name_of(endorsing))
    assert made.qualified_name == qualified_name(above, made.name)
    assert set(made.spent_ns) == {"ek", "create", "load", "persist"}
    swtpm.run("tpm2_readpublic", "-c", hex(made.handle), "-n", "name", "-q", "qualified")
    assert (swtpm.folder / "name").read_bytes() == made.name
    assert (swtpm.folder / "qualified").read_bytes() == made.qualified_name
    assert not left_behind(swtpm)


def test_a_new_key_takes_the_place_of_the_old_one(attester: LocalAttester) -> None:
    first = attester.create_key("ecc-p256")
    agreed(attester.quote(ask()).evidence, first.public)
    second = attester.create_key("ecc-p256", ek="ecc-p256")
    assert first.public != second.public
    attest = agreed(attester.quote(ask()).evidence, second.public)
    assert attest.qualified_signer == second.qualified_name


@pytest.mark.parametrize("what", ["another form", "another parent"])
def test_another_programs_object_is_never_replaced(
    what: str, attester: LocalAttester, swtpm: LocalTpm
) -> None:
    if what == "another form":
        swtpm.run("tpm2_createprimary", "-C", "o", "-c", "object.ctx")
    else:
        attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
        swtpm.run(
            "tpm2_createprimary",
            "-C",
            "e",
            "-G",
            "ecc256:ecdsa-sha256:null",
            "-a",
            attributes,
            "-c",
            "object.ctx",
        )
    swtpm.run("tpm2_evictcontrol", "-C", "o", "-c", "object.ctx", hex(AK_HANDLES["ecc-p256"]))
    swtpm.flush()
    with pytest.raises(AttesterError, match="another program's object") as caught:
        attester.create_key("ecc-p256")
    assert caught.value.reason is Reason.ATTESTER_FAILED
    swtpm.run("tpm2_readpublic", "-c", hex(AK_HANDLES["ecc-p256"]))
    assert not left_behind(swtpm)


def test_passwords_of_the_hierarchies_are_used_and_kept_private(swtpm: LocalTpm) -> None:
    swtpm.run("tpm2_changeauth", "-c", "owner", "own")
    swtpm.run("tpm2_changeauth", "-c", "endorsement", "endorse")
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester, pytest.raises(AttesterError):
        attester.create_key("ecc-p256")
    auth = swtpm.folder / "auth.toml"
    auth.write_text('owner = "own"\nendorsement = "endorse"\n')
    auth.chmod(0o644)
    config = configured(swtpm.folder, swtpm.tcti, auth=auth)
    with attesting(config) as attester, pytest.raises(AttesterError, match="its owner's alone"):
        attester.properties()
    auth.chmod(0o600)
    with attesting(config) as attester:
        made = attester.create_key("ecc-p256")
        agreed(attester.quote(ask()).evidence, made.public)
    assert not left_behind(swtpm)


# -- credentials


@pytest.mark.parametrize("ek", KINDS)
def test_a_credential_opens_for_its_two_keys_alone(
    ek: KeyType, attester: LocalAttester, swtpm: LocalTpm
) -> None:
    made = attester.create_key("ecc-p256", ek=ek)
    endorsing = attester.identify().ek_public[ek]
    secret = os.urandom(32)
    blob, sealed = make_credential(endorsing, made.name, secret)
    assert attester.activate("ecc-p256", blob, sealed, ek=ek) == secret
    another = AttestationKey.from_public(attester.create_key("rsa-2048").public).name
    other_ek: KeyType = "ecc-p256" if ek == "rsa-2048" else "rsa-2048"
    bad = {
        "another key's name": (*make_credential(endorsing, another, secret), ek),
        "another endorsement key": (blob, sealed, other_ek),
        "cut": (blob[:-1], sealed, ek),
        "bytes behind": (blob, sealed + b"\0", ek),
        "a bit turned": (blob[:-1] + bytes([blob[-1] ^ 1]), sealed, ek),
    }
    for what, (one, two, which) in bad.items():
        with pytest.raises(AttesterError) as caught:
            attester.activate("ecc-p256", one, two, ek=which)
        assert caught.value.reason is Reason.CREDENTIAL, what
    assert attester.activate("ecc-p256", blob, sealed, ek=ek) == secret
    assert not left_behind(swtpm)


def test_without_a_key_nothing_is_signed_or_opened(attester: LocalAttester) -> None:
    blob, sealed = make_credential(
        attester.identify().ek_public["rsa-2048"], b"\x00\x0b" + bytes(32), b"secret"
    )
    with pytest.raises(AttesterError) as caught:
        attester.activate("ecc-p256", blob, sealed)
    assert caught.value.reason is Reason.NOT_ENROLLED
    with pytest.raises(AttesterError) as caught:
        attester.quote(ask())
    assert caught.value.reason is Reason.NOT_ENROLLED


def test_a_key_that_went_away_is_missed(attester: LocalAttester, swtpm: LocalTpm) -> None:
    made = attester.create_key("ecc-p256")
    attester.quote(ask())
    swtpm.run("tpm2_evictcontrol", "-C", "o", "-c", hex(made.handle))
    with pytest.raises(AttesterError) as caught:
        attester.quote(ask())
    assert caught.value.reason is Reason.NOT_ENROLLED
    again = attester.create_key("ecc-p256")
    agreed(attester.quote(ask()).evidence, again.public)


# -- quotes


@pytest.mark.parametrize("kind", KINDS)
def test_a_quote_says_what_was_asked(kind: KeyType, attester: LocalAttester, swtpm: LocalTpm) -> None:
    made = attester.create_key(kind)
    swtpm.run("tpm2_pcrextend", "7:sha256=" + "5a" * 32)
    nonce, pcrs = os.urandom(32), tuple(range(24))
    answer = attester.quote(ask(kind, nonce=nonce, pcrs=pcrs))
    attest = agreed(answer.evidence, made.public)
    assert (attest.magic, attest.type, attest.extra_data) == (GENERATED, QUOTE, nonce)
    assert attest.selections == (Selection(hash_alg=0x0B, pcrs=pcrs),)
    assert answer.evidence.pcrs[7] == hashlib.sha256(bytes(32) + b"\x5a" * 32).digest()
    # In another hierarchy than the endorsement's the TPM would hide these three.
    assert attest.firmware_version == attester.identify().tpm_firmware
    assert (attest.clock.reset_count, attest.clock.restart_count) == (1, 0)


def test_the_times_of_a_quote_are_in_order(attester: LocalAttester) -> None:
    attester.create_key("ecc-p256")
    answer = attester.quote(ask())
    moments = answer.evidence.moments
    stamps = [moments.received_ns, moments.quoting_ns, moments.quoted_ns, moments.answered_ns]
    # One kernel, one clock: the attester's stamps lie within the controller's.
    assert [answer.sent_ns, *stamps, answer.received_ns] == sorted(
        [answer.sent_ns, *stamps, answer.received_ns]
    )


def test_values_follow_the_pcrs(attester: LocalAttester, swtpm: LocalTpm) -> None:
    made = attester.create_key("ecc-p256")
    seen = set()
    for number in range(4):
        for _ in range(2):
            evidence = attester.quote(ask()).evidence
            agreed(evidence, made.public)
        seen.add(evidence.pcrs[7])
        swtpm.run("tpm2_pcrextend", f"7:sha256={number:064x}")
    assert len(seen) == 4


@pytest.mark.parametrize("nonce", [b"n", bytes(64)])
def test_a_nonce_of_any_size_comes_back(nonce: bytes, attester: LocalAttester) -> None:
    attester.create_key("ecc-p256")
    assert parse_attest(attester.quote(ask(nonce=nonce)).evidence.attest).extra_data == nonce


def test_the_other_bank_has_longer_values(attester: LocalAttester) -> None:
    made = attester.create_key("ecc-p256")
    evidence = attester.quote(ask(bank="sha384")).evidence
    assert agreed(evidence, made.public).selections == (Selection(hash_alg=0x0C, pcrs=(0, 4, 7, 10)),)
    assert {len(value) for value in evidence.pcrs.values()} == {48}


def test_an_absent_bank_gives_a_valid_quote_over_nothing(manufactured: LocalTpm) -> None:
    with attesting(configured(manufactured.folder, manufactured.tcti)) as attester:
        made = attester.create_key("ecc-p256")
        evidence = attester.quote(ask(bank="sha384")).evidence
    attest = agreed(evidence, made.public)
    assert evidence.pcrs == {}
    assert not any(selection.pcrs for selection in attest.selections or ())


EXTEND_BETWEEN = """
import sys
sys.dont_write_bytecode = True
from sodbench_tpm import Settings, Tpm
from sodbench_tpm_facts import TpmError
from tpm2_pytss import ESYS_TR, TPM2_ALG, TPML_DIGEST_VALUES, TPMT_HA, TPMU_HA

tcti, times = sys.argv[1], int(sys.argv[2])
tpm, left = Tpm(Settings(tcti)), [times]
read = tpm._read

def meddled(esys, bank, pcrs):
    if left[0]:
        left[0] -= 1
        value = TPMT_HA(hashAlg=TPM2_ALG.SHA256, digest=TPMU_HA(sha256=bytes(32)))
        esys.pcr_extend(ESYS_TR.PCR7, TPML_DIGEST_VALUES([value]))
    return read(esys, bank, pcrs)

tpm._read = meddled
try:
    quote = tpm.quote("ecc-p256", b"nonce", "sha256", (7,), 4)
    print(quote.retries, quote.attest.hex(), quote.pcrs[7].hex())
except TpmError as error:
    print(error.reason, error)
"""


def test_quote_and_values_are_taken_again_when_a_pcr_changed_between(
    attester: LocalAttester, swtpm: LocalTpm
) -> None:
    attester.create_key("ecc-p256")
    retries, attest, value = with_library(EXTEND_BETWEEN, swtpm.tcti, "2").split()
    assert retries == "2"
    assert parse_attest(bytes.fromhex(attest)).pcr_digest == hashlib.sha256(bytes.fromhex(value)).digest()
    assert with_library(EXTEND_BETWEEN, swtpm.tcti, "9").startswith("tpm-busy")


# -- what it leaves behind


def test_ten_thousand_quotes_leave_nothing_behind(attester: LocalAttester, swtpm: LocalTpm) -> None:
    attester.create_key("ecc-p256")
    attester.quote(ask())
    process = attester.pid
    assert process is not None
    before = resident_kib(process)
    for number in range(10_000):
        evidence = attester.quote(ask(nonce=number.to_bytes(16, "big"))).evidence
        assert parse_attest(evidence.attest).extra_data == number.to_bytes(16, "big")
    assert not left_behind(swtpm)
    assert resident_kib(process) - before < 4096
    assert len(list(Path(f"/proc/{process}/fd").iterdir())) < 12
    assert attester.started == 1


def resident_kib(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
