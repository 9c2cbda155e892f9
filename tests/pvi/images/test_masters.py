"""A master image is imported once, encrypted, listed and signed; whatever is changed of it is refused."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import MonotonicClock
from harness.errors import AlteredError, InputFileError, PrerequisiteError, StorageError, UsageError
from harness.evidence import signature
from harness.pvi.factory import signer
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST
from harness.pvi.factory.trust import CertificateRefusedError
from harness.pvi.images import manifest, masters, qemu_img
from harness.pvi.images.manifest import DISK, KEY
from harness.pvi.images.qemu_img import Disk
from tests.pvi.factory.places import HOUR_NS, KilledError
from tests.pvi.images.conftest import CANARY, Imported

pytestmark = pytest.mark.programs


def _folder(imported: Imported) -> Path:
    return imported.place.folder / "images/web/1"


def _open(imported: Imported) -> masters.Master:
    with imported.place.open() as factory:
        return masters.opened(factory, "web")


def test_the_manifest_lists_packages_and_files_by_their_sha256(imported: Imported) -> None:
    found = _open(imported).manifest
    assert found == imported.manifest
    assert found.packages == {"bash:amd64": "5.2.15-2"}
    assert found.files is not None
    assert set(found.files) == {"/usr/bin/server", "/etc/empty", "/var/lib/dpkg/status"}
    assert found.files["/usr/bin/server"] == f"sha256:{hashlib.sha256(CANARY).hexdigest()}"
    assert found.source == hashlib.sha256(imported.source.read_bytes()).hexdigest()
    assert (found.number, found.size_bytes) == (1, 16 * 2**20)
    reference = found.reference()
    assert reference is not None
    assert reference.ima.files["/etc/empty"] == (f"sha256:{hashlib.sha256().hexdigest()}",)


def test_the_disk_shows_the_canary_to_who_has_its_key_alone(imported: Imported, tmp_path: Path) -> None:
    assert CANARY in imported.source.read_bytes()
    assert CANARY not in (_folder(imported) / DISK).read_bytes()
    with imported.place.open() as factory:
        master = masters.opened(factory, "web")
        key = masters.key(factory, master)
    assert not any(key in one.read_bytes() for one in imported.place.folder.rglob("*") if one.is_file())
    qemu_img.plain(master.disk(key), tmp_path / "plain")
    assert CANARY in (tmp_path / "plain").read_bytes()
    with pytest.raises(StorageError, match="cannot be unpacked"):
        qemu_img.plain(master.disk(masters.new_key()), tmp_path / "other")


def test_the_audit_log_has_the_import_and_not_the_key(imported: Imported) -> None:
    said = imported.place.log.bodies[-1]
    assert (said["does"], said["image"], said["number"]) == ("image", "web", "1")
    assert said["disk"] == imported.manifest.disk
    assert [one["does"] for one in imported.place.log.bodies] == ["init", "issue", "image"]


def test_a_changed_disk_and_a_changed_manifest_are_refused(imported: Imported) -> None:
    place = _folder(imported) / DISK
    raw = bytearray(place.read_bytes())
    raw[-1] ^= 1
    place.write_bytes(raw)
    with pytest.raises(AlteredError, match="not the one that was imported"):
        _open(imported)
    raw[-1] ^= 1
    place.write_bytes(raw)
    _open(imported)
    text = _folder(imported) / manifest.FILE
    text.write_text(text.read_text().replace("bash", "dash"))
    with pytest.raises(AlteredError, match="not the one that was signed"):
        _open(imported)
    with pytest.raises(AlteredError, match="not what was signed"):
        manifest.read(_folder(imported), imported.place.folder / TRUST, now=moment(imported.place.now_ns))


def test_a_manifest_that_was_never_signed_or_by_another_key_is_refused(imported: Imported) -> None:
    place = _folder(imported) / signature.FILE
    envelope = json.loads(place.read_text())
    envelope["signatures"][0]["keyid"] = "0" * 64
    place.write_text(json.dumps(envelope))
    with pytest.raises(CertificateRefusedError, match="does not count"):
        _open(imported)
    del envelope["signatures"][0]["keyid"]
    place.write_text(json.dumps(envelope))
    with pytest.raises(AlteredError, match="cannot be read"):
        _open(imported)
    place.unlink()
    with pytest.raises(AlteredError, match="not signed"):
        _open(imported)


def test_an_older_version_in_the_place_of_a_newer_one_is_refused(imported: Imported) -> None:
    with imported.place.open() as factory:
        made, _ = masters.take_in(factory, "web", imported.source, "raw", MonotonicClock())
        assert made.number == 2
        assert masters.opened(factory, "web").manifest == made
        assert masters.opened(factory, "web", 1).manifest == imported.manifest
        with pytest.raises(UsageError, match="no such image"):
            masters.opened(factory, "web", 3)
        with pytest.raises(UsageError, match="no such image"):
            masters.opened(factory, "db")
    newer = imported.place.folder / "images/web/2"
    shutil.rmtree(newer)
    shutil.copytree(_folder(imported), newer)
    with pytest.raises(AlteredError, match="not the one that was signed"):
        _open(imported)


def test_what_a_revoked_key_signed_is_refused_and_the_next_import_has_a_new_key(imported: Imported) -> None:
    trust = imported.place.folder / TRUST
    (certificate,) = (trust / signer.FOLDER).iterdir()
    serial = signer.find(trust, certificate.stem).certificate.serial_number
    with imported.place.open() as factory:
        factory.revoke(f"{serial:x}", "key-compromise")
    with pytest.raises(CertificateRefusedError, match="has revoked"):
        _open(imported)
    with imported.place.open() as factory:
        assert factory.signer().public_key() == factory.signer().public_key()
    assert len([*(trust / signer.FOLDER).iterdir()]) == 2


def test_a_signing_key_is_renewed_and_what_it_signed_still_counts(imported: Imported) -> None:
    imported.place.now_ns += 340 * 24 * HOUR_NS
    with imported.place.open() as factory:
        factory.renew_lists(root=True)
        factory.signer()
    assert len([*(imported.place.folder / TRUST / signer.FOLDER).iterdir()]) == 2
    assert _open(imported).manifest == imported.manifest


def test_an_import_that_was_killed_counts_for_nothing_and_is_cleared(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object, **_named: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch, imported.place.open() as factory:
        patch.setattr(type(factory), "take", killed)
        with pytest.raises(KilledError):
            masters.take_in(factory, "web", imported.source, "raw", MonotonicClock())
    left = imported.place.folder / "images/web/2"
    assert left.is_dir()
    before = (left / KEY).read_bytes()
    with imported.place.open() as factory:
        assert masters.opened(factory, "web").manifest.number == 1
        made, _ = masters.take_in(factory, "web", imported.source, "raw", MonotonicClock())
    assert made.number == 2
    assert (left / KEY).read_bytes() != before


@contextmanager
def _room(size_bytes: int) -> Iterator[None]:
    """No file becomes longer than that, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(imported: Imported) -> None:
    with imported.place.open() as factory, _room(2**20), pytest.raises(StorageError, match="cannot be"):
        masters.take_in(factory, "web", imported.source, "raw", MonotonicClock())
    assert [one.name for one in (imported.place.folder / "images/web").iterdir()] == ["1"]
    assert len(imported.place.log.entries) == 3


@pytest.mark.parametrize("text", [b"", b"QFI\xfb of nothing"])
def test_what_is_no_image_is_refused(imported: Imported, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "image").write_bytes(text)
    with imported.place.open() as factory, pytest.raises((InputFileError, StorageError)):
        masters.take_in(factory, "web", tmp_path / "image", None, MonotonicClock())
    assert len(imported.place.log.entries) == 3


def test_an_image_that_lies_on_another_file_is_refused(imported: Imported, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", str(overlay)]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(InputFileError, match="cannot be imported") as refused:
        qemu_img.size_bytes(Disk(path=overlay))
    assert "in another file" in refused.value.why


class Stubborn:
    """A qemu-img that is too busy some times."""

    def __init__(self, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.calls, self._real = times, 0, subprocess.run
        monkeypatch.setattr(subprocess, "run", self)

    def __call__(self, argv: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
        if argv[:2] != ["qemu-img", "create"]:
            return self._real(argv, **settings)  # type: ignore[call-overload, no-any-return]
        self.calls += 1
        self.left -= 1
        return subprocess.CompletedProcess(argv, int(self.left >= 0), "", f"qemu-img: {qemu_img.BUSY}\n")


@pytest.mark.parametrize("times", [0, 1, qemu_img.TRIES - 1])
def test_formatting_is_tried_again_where_the_machine_is_busy(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = Stubborn(times, monkeypatch)
    done = qemu_img.create(Disk(path=tmp_path / "disk", key=b"k"), 2**20, MonotonicClock())
    assert done.tries == tried.calls == times + 1


def test_formatting_is_not_tried_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Stubborn(99, monkeypatch)
    with pytest.raises(StorageError, match="cannot be formatted") as failed:
        qemu_img.create(Disk(path=tmp_path / "disk", key=b"k"), 2**20, MonotonicClock())
    assert tried.calls == qemu_img.TRIES
    assert failed.value.retry


def test_a_machine_without_qemu_img_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="no qemu-img") as missing:
        qemu_img.create(Disk(path=tmp_path / "disk", key=b"k"), 2**20, MonotonicClock())
    assert "qemu-utils" in missing.value.remedy
