"""A saved guest is restored only as this controller saved it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from harness.errors import GuestError
from harness.rig.contract import Hypervisor, Machine
from harness.rig.guest import snapshot
from harness.rig.guest.digest import Kept
from harness.rig.guest.domain import GuestSpec
from harness.rig.guest.kind import SMALL, STANDARD, Kind
from tests.rig.test_guest_xml import GUEST


class Shell:
    """A host that is this machine."""

    role = "a"

    def attempt(self, command: str, **_limits: object) -> tuple[int, str, str]:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def run(self, command: str, **limits: object) -> str:
        status, out, error = self.attempt(command, **limits)
        assert status == 0, error
        return out


class Libvirt:
    """A hypervisor that writes a guest's memory, and says what it restored."""

    def __init__(self) -> None:
        self.restored: list[str] = []

    def domain(self, _name: str) -> Libvirt:
        return self

    def save(self, path: str) -> None:
        Path(path).write_text("memory")

    def restore(self, path: str) -> None:
        self.restored.append(path)


class Saved:
    """A guest that was saved, on storage in a folder that a shell would take for several words."""

    def __init__(self, tmp_path: Path, kind: Kind) -> None:
        storage = tmp_path / "a b; $(id)"
        self.spec = GuestSpec(
            guest=GUEST,
            memory_mib=256,
            vcpus=1,
            accelerator="tcg",
            image=str(storage / "images/0123"),
            folder=str(storage / "guests/one"),
            uuid="",
            cmdline="",
            bridge="br0",
            kind=kind,
        )
        self.libvirt, self.kept = Libvirt(), Kept(tmp_path / "kept")
        self.host = cast(Machine, Shell())
        self.folder = Path(snapshot.place(self.spec, str(storage), 1))
        own = Path(self.spec.folder)
        own.mkdir(parents=True)
        Path(self.spec.console).write_text("the guest's key")
        Path(self.spec.disk).write_text("the guest's disk")
        snapshot.save(cast(Hypervisor, self.libvirt), self.host, self.spec, str(self.folder), self.kept)
        for one in own.iterdir():
            one.unlink()

    def exists(self) -> bool:
        return snapshot.exists(self.host, str(self.folder), self.kept)

    def restore(self) -> None:
        connection = cast(Hypervisor, self.libvirt)
        snapshot.restore(connection, self.host, self.spec, str(self.folder), self.kept)


@pytest.mark.parametrize("kind", [STANDARD, SMALL], ids=lambda kind: kind.name)
def test_a_guest_is_restored_as_it_was_saved(tmp_path: Path, kind: Kind) -> None:
    saved = Saved(tmp_path, kind)
    assert saved.exists()
    saved.restore()
    assert saved.libvirt.restored == [f"{saved.folder}/state"]
    assert Path(saved.spec.console).read_text() == "the guest's key"
    assert Path(saved.spec.disk).exists() is kind.has_disk


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (STANDARD, "state"),
        (STANDARD, "disk.qcow2"),
        (STANDARD, "console.log"),
        (SMALL, "state"),
        (SMALL, "console.log"),
    ],
    ids=lambda one: str(getattr(one, "name", one)),
)
def test_a_changed_file_restores_no_guest(tmp_path: Path, kind: Kind, name: str) -> None:
    saved = Saved(tmp_path, kind)
    (saved.folder / name).write_text("another")
    with pytest.raises(GuestError, match="not the one that was saved") as caught:
        saved.restore()
    assert str(caught.value.where).endswith(f": {name}")
    assert caught.value.exit_code == 8
    assert saved.libvirt.restored == []
    assert not Path(saved.spec.console).exists()


def test_a_missing_file_restores_no_guest(tmp_path: Path) -> None:
    saved = Saved(tmp_path, STANDARD)
    (saved.folder / "disk.qcow2").unlink()
    with pytest.raises(GuestError, match="the saved guest cannot be read"):
        saved.restore()
    assert saved.libvirt.restored == []


def test_a_state_that_this_controller_did_not_save_is_saved_again(tmp_path: Path) -> None:
    saved = Saved(tmp_path, STANDARD)
    saved.kept = Kept(tmp_path / "another user's")
    assert not saved.exists()
    assert snapshot.exists(saved.host, str(saved.folder), None)


def test_a_state_that_is_gone_is_saved_again(tmp_path: Path) -> None:
    saved = Saved(tmp_path, STANDARD)
    (saved.folder / "state").unlink()
    assert not saved.exists()


def test_controllers_have_saved_guests_of_their_own(tmp_path: Path) -> None:
    spec = Saved(tmp_path, STANDARD).spec
    specs = [spec, *(replace(spec, vtpm_key=key, tpm=tpm) for key in (b"a", b"b") for tpm in (False, True))]
    places = {snapshot.place(one, "/srv", 1) for one in specs}
    assert len(places) == 5
