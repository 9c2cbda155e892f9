"""Archives are signed with the verifier's key, and unpacked only if whoever is trusted signed them."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.evidence import archive, seal, signature
from harness.evidence.folder import RunFolder
from harness.registry import places
from harness.report import signed
from tests.cli.command import Sodbench
from tests.security.removed import Removed, gone
from tests.synthetic import evidence
from tests.synthetic.evidence import AttemptTruth, MigrationTruth, Truths

ALTERED = 21


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its sums, of which each test takes a copy."""
    attempt = AttemptTruth(migrations=(MigrationTruth(planned_s=0.0),))
    made = evidence.build(tmp_path_factory.mktemp("small") / "run", Truths(attempts=(attempt,)))
    seal.close(made)
    return made.root


@pytest.fixture
def run(small: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(small, tmp_path / "run"))


@pytest.fixture
def packed(sodbench: Sodbench, run: RunFolder, tmp_path: Path) -> Path:
    assert sodbench("archive", "pack", run.root, tmp_path / "packed").code == 0
    return tmp_path / "packed"


def key_file(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, Path]:
    """A key pair of somebody's, the public part in a file."""
    key, file = ec.generate_private_key(ec.SECP256R1()), folder / "other.pub.pem"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key, file


def test_an_archive_is_signed_as_the_formats_say(packed: Path) -> None:
    envelope = json.loads((packed / signature.FILE).read_text())
    payload = base64.b64decode(envelope["payload"])
    public = signature.public_key(places.signing_key_file().with_suffix(".pub.pem"))
    said = f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} ".encode() + payload
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), said, signature._ALGORITHM)
    subjects = [one["name"] for one in json.loads(payload)["subject"]]
    assert subjects == [seal.EVIDENCE_SUMS]


def test_a_signed_archive_is_unpacked(
    sodbench: Sodbench, packed: Path, run: RunFolder, tmp_path: Path
) -> None:
    assert sodbench("archive", "unpack", packed, tmp_path / "again").code == 0
    assert not (tmp_path / "again" / signature.FILE).exists()
    assert (tmp_path / "again/SHA256SUMS").read_bytes() == (run.root / "SHA256SUMS").read_bytes()


def test_an_archive_of_another_signer_needs_that_signers_key(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    key, file = key_file(tmp_path)
    signature.sign(packed, [seal.EVIDENCE_SUMS], key, kind=archive.KIND)
    said = sodbench("archive", "unpack", packed, tmp_path / "again")
    assert (said.code, "another key" in said.err, "--key" in said.err) == (ALTERED, True, True)
    assert not (tmp_path / "again").exists()
    assert sodbench("archive", "unpack", packed, tmp_path / "again", "--key", file).code == 0


def test_an_archive_without_a_signature_is_unpacked_on_request_alone(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    (packed / signature.FILE).unlink()
    said = sodbench("archive", "unpack", packed, tmp_path / "again")
    assert (said.code, "not signed" in said.err, "--unsigned" in said.err) == (ALTERED, True, True)
    both = sodbench("archive", "unpack", packed, tmp_path / "again", "--unsigned", "--key", "x")
    assert both.code == 2
    assert sodbench("archive", "unpack", packed, tmp_path / "again", "--unsigned").code == 0


def test_sums_that_were_written_again_are_not_those_signed(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    sums = packed / seal.EVIDENCE_SUMS
    sums.write_text(sums.read_text().replace("a", "b"))
    said = sodbench("archive", "unpack", packed, tmp_path / "again")
    assert (said.code, f"changed: {seal.EVIDENCE_SUMS}" in said.err) == (ALTERED, True)


def test_a_list_of_tables_that_was_added_is_not_signed(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    (packed / seal.DERIVED_SUMS).write_text("")
    said = sodbench("archive", "unpack", packed, tmp_path / "again")
    assert (said.code, f"not signed: {seal.DERIVED_SUMS}" in said.err) == (ALTERED, True)


def test_a_signature_of_a_report_vouches_for_no_archive(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    key, file = key_file(tmp_path)
    signature.sign(packed, [seal.EVIDENCE_SUMS], key, kind=signed.KIND)
    said = sodbench("archive", "unpack", packed, tmp_path / "again", "--key", file)
    assert (said.code, "no archive" in said.err) == (ALTERED, True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payload": "é", "payloadType": "x", "signatures": []}'])
def test_what_is_no_envelope_is_refused(sodbench: Sodbench, packed: Path, tmp_path: Path, text: str) -> None:
    (packed / signature.FILE).write_text(text)
    said = sodbench("archive", "unpack", packed, tmp_path / "again")
    assert (said.code, "cannot be read" in said.err) == (ALTERED, True)


def test_a_key_that_others_may_read_signs_nothing(
    sodbench: Sodbench, packed: Path, run: RunFolder, tmp_path: Path
) -> None:
    key = places.signing_key_file()
    key.chmod(0o644)
    said = sodbench("archive", "pack", run.root, tmp_path / "more")
    assert (said.code, "chmod 600" in said.err) == (4, True)
    assert not (tmp_path / "more").exists()
    key.chmod(0o600)
    assert os.access(packed, os.R_OK)


def test_a_public_key_that_is_not_there_is_named(sodbench: Sodbench, packed: Path, tmp_path: Path) -> None:
    said = sodbench("archive", "unpack", packed, tmp_path / "again", "--key", tmp_path / "nothing.pem")
    assert (said.code, "nothing.pem" in said.err) == (4, True)


def test_without_the_check_a_foreign_signature_passes(
    sodbench: Sodbench, packed: Path, tmp_path: Path
) -> None:
    key, _ = key_file(tmp_path)
    signature.sign(packed, [seal.EVIDENCE_SUMS], key, kind=archive.KIND)
    check = "key.verify(signature, _authenticated(payload), _ALGORITHM)"
    with gone(Removed(function=signature._is_by, check=check, by="pass")):
        assert sodbench("archive", "unpack", packed, tmp_path / "again").code == 0
