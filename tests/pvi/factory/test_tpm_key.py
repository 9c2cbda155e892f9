"""A factory whose keys are in a TPM: it signs there alone, and wants the passphrase as well."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from harness.attest.played.local_tpm import LocalTpm, running
from harness.errors import PrerequisiteError
from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key, signer, tpm_key, trust
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import ISSUING_KEY, ROOT_KEY, TRUST
from harness.pvi.factory.profiles import Profile
from tests.pvi.factory.places import CHEAP, EC_KEY, HERE, NOW_NS, PASSPHRASE, Log, Place, asked

pytestmark = pytest.mark.programs
SHA256 = ec.ECDSA(hashes.SHA256())


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTpm]:
    with running(tmp_path_factory.mktemp("tpm")) as one:
        yield one


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked_key, "COST", CHEAP)


@pytest.fixture
def place(tpm: LocalTpm, tmp_path: Path) -> Place:
    made = Place(tmp_path / "pvi", Log())
    factories.make(made.folder, "shop", PASSPHRASE, HERE, made.log, NOW_NS, tcti=tpm.tcti)
    return made


def test_a_factory_in_a_tpm_certifies_revokes_and_signs(place: Place) -> None:
    made = place.issue(asked(Profile.VPN))
    trust.check(made, Profile.VPN, trust.load(place.folder / TRUST), now=moment(NOW_NS))
    with place.open() as factory:
        factory.revoke(f"{made.serial_number:x}", "superseded")
        factory.renew_lists(root=True)
        key = factory.signer()
        key.public_key().verify(key.sign(b"something", SHA256), b"something", SHA256)
    with pytest.raises(trust.CertificateRefusedError):
        trust.check(made, Profile.VPN, trust.load(place.folder / TRUST), now=moment(NOW_NS))
    assert str(place.log.bodies[0]["keys"]).startswith("in the TPM at swtpm:")
    for name in (ROOT_KEY, ISSUING_KEY, signer.KEY):
        assert json.loads((place.folder / name).read_text())["kept"] == "in a TPM"


def test_a_wrong_passphrase_and_another_tpm_sign_nothing(place: Place, tmp_path: Path) -> None:
    place.passphrase = "wrong horse battery staple"
    with pytest.raises(PrerequisiteError, match="cannot be unlocked") as refused:
        place.issue(asked(Profile.VPN))
    assert refused.value.why == "the passphrase is wrong"
    place.passphrase = PASSPHRASE
    file = place.folder / ISSUING_KEY
    own = json.loads(file.read_text())
    with running(tmp_path / "other") as other:
        file.write_text(json.dumps({**own, "tcti": other.tcti}))
        with pytest.raises(PrerequisiteError, match="in the TPM cannot be used"):
            place.issue(asked(Profile.VPN))
    file.write_text(json.dumps({**own, "tcti": "swtpm:path=/nowhere"}))
    with pytest.raises(PrerequisiteError, match="in the TPM cannot be used"):
        place.issue(asked(Profile.VPN))
    file.write_text(json.dumps(own))
    place.issue(asked(Profile.VPN))
    assert [one["does"] for one in place.log.bodies] == ["init", "issue"]


def test_a_tpm_in_lockout_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "tpm") as tpm:
        tpm.run("tpm2_dictionarylockout", "-s", "-n", "1", "-t", "1000", "-l", "1000")
        key, file = tpm_key.make(tpm.tcti, "root", PASSPHRASE)
        key.sign(b"something", SHA256)
        wrong = tpm_key.unlock(file.to_bytes(), "root", "wrong horse battery staple", where="a file")
        with pytest.raises(PrerequisiteError, match="cannot be unlocked"):
            wrong.sign(b"something", SHA256)
        with pytest.raises(PrerequisiteError, match="in lockout") as refused:
            key.sign(b"something", SHA256)
        assert refused.value.retry
        tpm.run("tpm2_dictionarylockout", "--clear-lockout")
        key.sign(b"something", SHA256)


def test_a_key_takes_no_others_place(place: Place) -> None:
    shutil.copy(place.folder / ROOT_KEY, place.folder / ISSUING_KEY)
    with pytest.raises(PrerequisiteError, match="cannot be used") as refused:
        place.issue(asked(Profile.VPN))
    assert "it is the root key" in refused.value.why


def test_the_key_neither_leaves_the_tpm_nor_does_anything_but_sign(tpm: LocalTpm) -> None:
    key, file = tpm_key.make(tpm.tcti, "root", PASSPHRASE)
    assert copy.deepcopy(key) is copy.copy(key) is key
    assert (key.key_size, key.curve.name) == (256, "secp256r1")
    with pytest.raises(UnsupportedAlgorithm):
        key.private_numbers()
    with pytest.raises(UnsupportedAlgorithm):
        key.private_bytes()
    with pytest.raises(UnsupportedAlgorithm):
        key.exchange(ec.ECDH(), EC_KEY.public_key())
    for other in (ec.ECDSA(hashes.SHA384()), ec.ECDSA(Prehashed(hashes.SHA256()))):
        with pytest.raises(UnsupportedAlgorithm):
            key.sign(b"something", other)
    assert PASSPHRASE.encode() not in file.to_bytes()


@pytest.mark.parametrize("text", [b'{"kept": 1}', b'{"kept": "in a TPM"}', b'"kept"'])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    assert tpm_key.is_file(text)
    with pytest.raises(PrerequisiteError, match="cannot be used"):
        tpm_key.unlock(text, "root", PASSPHRASE, where="a file")


def test_without_the_programs_of_a_tpm_nothing_is_made(
    tpm: LocalTpm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in (tmp_path / "missing", tmp_path / "talks"):
        (tmp_path / "talks").write_text("print('not JSON')")
        monkeypatch.setattr(tpm_key, "_PROGRAM", program)
        with pytest.raises(PrerequisiteError, match="cannot be used"):
            tpm_key.make(tpm.tcti, "root", PASSPHRASE)
