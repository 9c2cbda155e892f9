"""A factory's folder and steps: told to the audit log, finished after a crash, used by one copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cryptography import x509

from harness import files
from harness.errors import PrerequisiteError, RecordError, StorageError, UsageError
from harness.pvi.factory import factory as factories
from harness.pvi.factory import ledger, trust
from harness.pvi.factory.factory import ISSUED, TRUST
from harness.pvi.factory.ledger import PENDING, STATE
from harness.pvi.factory.profiles import Profile
from tests.pvi.factory.places import HERE, HOUR_NS, NOW_NS, PASSPHRASE, KilledError, Log, Place, asked


def test_a_factory_is_made_whole_and_the_log_has_it(place: Place) -> None:
    assert [(kind, body.body["does"]) for kind, _, body in place.log.entries] == [("pvi", "init")]
    said = place.log.bodies[0]
    assert said["factory"] == "physical"
    assert said["randomness"] == "dice"
    assert not (place.folder / PENDING).exists()
    assert sorted(one.name for one in (place.folder / TRUST).iterdir()) == [
        trust.ISSUING_LIST,
        trust.ISSUING,
        trust.ROOT_LIST,
        trust.ROOT,
    ]
    assert [one.name for one in place.folder.parent.iterdir()] == ["pvi"]


def test_no_file_and_no_entry_has_the_passphrase_or_a_bare_key(place: Place) -> None:
    place.issue(asked(Profile.VPN))
    texts = [one.read_bytes() for one in place.folder.rglob("*") if one.is_file()]
    texts.append(json.dumps([dict(one) for one in place.log.bodies]).encode())
    assert not any(PASSPHRASE.encode() in one or b"PRIVATE" in one for one in texts)


def test_a_short_passphrase_and_a_place_that_is_taken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too short"):
        factories.make(tmp_path / "pvi", "shop", "x" * 11, HERE, Log(), NOW_NS)
    assert not (tmp_path / "pvi").exists()
    with pytest.raises(UsageError, match="something already"):
        factories.make(tmp_path, "shop", PASSPHRASE, HERE, Log(), NOW_NS)


def test_a_wrong_passphrase_changes_nothing(place: Place) -> None:
    place.passphrase = "wrong horse battery staple"
    with pytest.raises(PrerequisiteError, match="cannot be unlocked"):
        place.issue(asked(Profile.VPN))
    assert len(place.log.entries) == 1
    assert not (place.folder / ISSUED).exists()


def test_a_factory_whose_log_cannot_be_written_is_told_of_later(tmp_path: Path) -> None:
    log = Log(full=0)
    with pytest.raises(KilledError):
        factories.make(tmp_path / "pvi", "shop", PASSPHRASE, HERE, log, NOW_NS)
    log.full = 9
    place = Place(tmp_path / "pvi", log)
    place.issue(asked(Profile.VPN))
    assert [one["does"] for one in log.bodies] == ["init", "issue"]


def test_a_full_disk_leaves_no_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _value: object) -> None:
        raise StorageError("no space")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(StorageError):
        factories.make(tmp_path / "pvi", "shop", PASSPHRASE, HERE, Log(), NOW_NS)
    assert [*tmp_path.iterdir()] == []


def test_a_step_is_finished_that_was_killed_before_the_log_had_it(place: Place) -> None:
    place.log.full = 1
    with pytest.raises(KilledError):
        place.issue(asked(Profile.VPN))
    assert not (place.folder / ISSUED).exists()
    place.log.full = 9
    with place.open() as factory:
        assert factory.held.state.steps == 2
    _one_certificate(place)


@pytest.mark.parametrize("written", range(3))
def test_a_step_is_finished_that_was_killed_after_the_log_had_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    left = [written]

    def killed(path: Path, data: bytes) -> None:
        if path.name != PENDING:
            if not left[0]:
                raise KilledError
            left[0] -= 1
        original(path, data)

    original = files.write_atomic
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomic", killed)
        if written < 2:
            with pytest.raises(KilledError):
                place.issue(asked(Profile.VPN))
        else:
            patch.setattr(Path, "unlink", _killed)
            with pytest.raises(KilledError):
                place.issue(asked(Profile.VPN))
    assert (place.folder / PENDING).exists()
    with place.open() as factory:
        assert factory.held.state.steps == 2
    _one_certificate(place)


def _killed(*_arguments: object, **_named: object) -> None:
    raise KilledError


def _one_certificate(place: Place) -> None:
    """There is one certificate, of which the log speaks once."""
    assert not (place.folder / PENDING).exists()
    assert [one["does"] for one in place.log.bodies] == ["init", "issue"]
    (only,) = (place.folder / ISSUED).iterdir()
    assert only.stem == place.log.bodies[1]["serial"]


def test_of_two_copies_with_one_authority_only_the_newest_goes_on(place: Place, tmp_path: Path) -> None:
    copy = Place(tmp_path / "copy", place.log)
    shutil.copytree(place.folder, copy.folder)
    copy.issue(asked(Profile.VPN))
    with pytest.raises(PrerequisiteError, match="another factory has used this authority"):
        place.issue(asked(Profile.VPN))
    copy.issue(asked(Profile.VPN))
    assert len(place.log.entries) == 3


def test_two_copies_that_are_killed_in_a_step_do_not_take_each_others(place: Place, tmp_path: Path) -> None:
    copy = Place(tmp_path / "copy", place.log)
    shutil.copytree(place.folder, copy.folder)
    place.log.full = 1
    for one in (place, copy):
        with pytest.raises(KilledError):
            one.issue(asked(Profile.VPN))
    place.log.full = 9
    with place.open():
        pass
    with pytest.raises(PrerequisiteError, match="another factory"), copy.open():
        pass


def test_another_audit_log_is_refused(place: Place) -> None:
    place.log = Log()
    with pytest.raises(PrerequisiteError, match="not the audit log of the factory"), place.open():
        pass


def test_a_state_that_was_changed_is_refused(place: Place) -> None:
    made = place.issue(asked(Profile.VPN))
    with place.open() as factory:
        factory.revoke(f"{made.serial_number:x}", "key-compromise")
    state = json.loads((place.folder / STATE).read_text())
    (place.folder / STATE).write_text(json.dumps(state | {"revoked": []}))
    with pytest.raises(RecordError, match="damaged"), place.open():
        pass


@pytest.mark.parametrize("name", [STATE, PENDING])
@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_damaged_files_are_refused(place: Place, name: str, text: str) -> None:
    (place.folder / name).write_text(text)
    with pytest.raises(RecordError), place.open():
        pass


def test_a_pending_step_stays_in_the_folder(place: Place, tmp_path: Path) -> None:
    with place.open() as factory:
        state = factory.held.state.model_copy(update={"steps": 2})
        for name in ("../out", str(tmp_path / "out")):
            step = ledger.Step(does="issue", says={}, writes={name: "x"}, state=state)
            with pytest.raises(RecordError, match="leaves its folder"):
                factory.held.take(step)
    assert not (tmp_path / "out").exists()


def test_there_is_no_factory_where_none_was_made(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="there is no factory"), ledger.held(tmp_path, Log()):
        pass


def test_lists_are_numbered_and_keep_what_was_revoked(place: Place) -> None:
    made = place.issue(asked(Profile.VPN))
    serial = f"{made.serial_number:x}"
    with place.open() as factory:
        factory.revoke(serial, "key-compromise")
    place.now_ns += HOUR_NS
    with place.open() as factory:
        factory.renew_lists(root=True)
    known = trust.load(place.folder / TRUST)
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value for one in known.lists]
    assert [one.crl_number for one in numbers] == [3, 3]
    assert (
        sum(
            one.get_revoked_certificate_by_serial_number(made.serial_number) is not None
            for one in known.lists
        )
        == 1
    )
    assert [one["does"] for one in place.log.bodies] == ["init", "issue", "revoke", "lists"]
    with place.open() as factory, pytest.raises(UsageError, match="revoked already"):
        factory.revoke(serial, "superseded")
    with place.open() as factory, pytest.raises(UsageError, match="issued no such certificate"):
        factory.revoke("abc", "superseded")
    assert len(place.log.entries) == 4


def test_a_key_that_is_not_its_certificates_is_refused(place: Place) -> None:
    foreign = Place(place.folder.with_name("foreign"), Log())
    factories.make(foreign.folder, "shop", PASSPHRASE, HERE, foreign.log, NOW_NS)
    shutil.copy(foreign.folder / "issuing.key.json", place.folder / "issuing.key.json")
    with pytest.raises(PrerequisiteError, match="not its certificate's"):
        place.issue(asked(Profile.VPN))
