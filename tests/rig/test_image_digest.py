"""A guest boots the image that was built: the controller keeps its digests, the host computes them again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from harness.errors import GuestError, RecordError
from harness.rig.contract import Machine
from harness.rig.guest import digest, domain, snapshot
from harness.rig.guest.digest import Kept
from harness.rig.guest.domain import GuestSpec
from harness.rig.guest.kind import SMALL, STANDARD, Kind
from tests.rig.test_guest_xml import GUEST


class Shell:
    """A host that is this machine."""

    role = "a"

    def __init__(self) -> None:
        self.said: list[str] = []

    def attempt(self, command: str, **_limits: object) -> tuple[int, str, str]:
        self.said.append(command)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def run(self, command: str, **_limits: object) -> str:
        raise AssertionError(f"nothing may be made for a guest that does not start: {command}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image, in a folder that a shell would take for several words."""
    made = tmp_path / "an image; $(id)"
    made.mkdir()
    for name in ("vmlinuz", "vmlinux", "initrd", "initrd.measured", "guest.qcow2", "image.json"):
        (made / name).write_text(f"{name} as it was built\n")
    return made


def spec(folder: Path, known: dict[str, str], kind: Kind = STANDARD, *, tpm: bool = False) -> GuestSpec:
    return GuestSpec(
        guest=GUEST,
        memory_mib=256,
        vcpus=1,
        accelerator="tcg",
        image=str(folder),
        folder="/nowhere",
        uuid="",
        cmdline="",
        bridge="br0",
        tpm=tpm,
        kind=kind,
        digests=known,
    )


def machine() -> Machine:
    return cast(Machine, Shell())


def test_the_digests_are_those_of_sha256sum(folder: Path) -> None:
    found = digest.taken(machine(), str(folder))
    told = subprocess.run(
        ["sha256sum", *sorted(found)], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert [f"{found[name]}  {name}" for name in sorted(found)] == told.splitlines()
    assert len(found) == 6


def test_an_image_as_it_was_built_passes(folder: Path) -> None:
    known = digest.taken(machine(), str(folder))
    digest.require(machine(), str(folder), known, known)


@pytest.mark.parametrize(
    ("kind", "tpm", "name"),
    [
        (STANDARD, False, "guest.qcow2"),
        (STANDARD, False, "vmlinuz"),
        (STANDARD, True, "initrd"),
        (SMALL, False, "vmlinux"),
        (SMALL, False, "initrd"),
        (SMALL, True, "initrd.measured"),
    ],
    ids=lambda one: str(getattr(one, "name", one)),
)
@pytest.mark.parametrize("start", ["boot", "restore"])
def test_a_changed_file_starts_no_guest(folder: Path, kind: Kind, tpm: bool, name: str, start: str) -> None:
    known = digest.taken(machine(), str(folder))
    before = (folder / name).stat()
    (folder / name).write_text(f"{name} as it was bui1t\n")
    subprocess.run(["touch", "-d", f"@{before.st_mtime}", folder / name], check=True)
    wanted = spec(folder, known, kind, tpm=tpm)
    with pytest.raises(GuestError, match="not the one that was built") as caught:
        if start == "boot":
            domain.boot(cast(object, None), machine(), wanted)  # type: ignore[arg-type]
        else:
            snapshot.restore(cast(object, None), machine(), wanted, "/nowhere")  # type: ignore[arg-type]
    assert name in str(caught.value.where)
    assert "host a" in str(caught.value.where)
    assert caught.value.exit_code == 8


def test_a_file_that_was_never_taken_starts_no_guest(folder: Path) -> None:
    known = digest.taken(machine(), str(folder), ["vmlinuz"])
    with pytest.raises(GuestError, match="not the one that was built"):
        digest.require(machine(), str(folder), known, ["vmlinuz", "initrd"])


def test_a_missing_file_starts_no_guest(folder: Path) -> None:
    known = digest.taken(machine(), str(folder))
    (folder / "initrd").unlink()
    with pytest.raises(GuestError, match="cannot be read"):
        digest.require(machine(), str(folder), known, ["vmlinuz", "initrd"])


def test_a_guest_of_which_nothing_is_known_is_not_held_up(folder: Path) -> None:
    shell = Shell()
    digest.require(cast(Machine, shell), str(folder), {}, ["vmlinuz"])
    assert shell.said == []


def test_digests_are_kept_by_image(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "images")
    assert kept.of("0123") == {}
    kept.keep("0123", {"vmlinuz": "aa"})
    kept.keep("4567", {"vmlinuz": "bb"})
    assert Kept(tmp_path / "images").of("0123") == {"vmlinuz": "aa"}


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '"x"'])
def test_a_damaged_file_of_digests_is_an_error_and_not_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "0123.json").write_text(text)
    with pytest.raises(RecordError):
        Kept(tmp_path).of("0123")
