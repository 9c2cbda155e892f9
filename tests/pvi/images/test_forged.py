"""A master image whose file system was forged writes nothing outside the factory, and takes no memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clock import MonotonicClock
from harness.errors import InputFileError
from harness.pvi.images import debugfs, listing, manifest, masters, qemu_img
from harness.pvi.images.manifest import Manifest
from harness.pvi.images.qemu_img import Disk
from tests.pvi.images.conftest import Imported

pytestmark = pytest.mark.programs


def _image(folder: Path, fill: Callable[[Path], None], *forged: tuple[bytes, bytes]) -> Path:
    """An image of what `fill` writes, in which each first text is then replaced by the second."""
    root, image = folder / "root", folder / "image"
    root.mkdir()
    fill(root)
    options = ["-q", "-t", "ext4", "-O", "^metadata_csum,^dir_index", "-d"]
    subprocess.run(["/usr/sbin/mke2fs", *options, root, image, "4M"], check=True, timeout=60)
    content = image.read_bytes()
    for there, instead in forged:
        assert there in content
        assert len(there) == len(instead)
        content = content.replace(there, instead)
    image.write_bytes(content)
    return image


def _one(name: str) -> Callable[[Path], None]:
    """Writes one small file."""

    def fill(root: Path) -> None:
        (root / name).write_text("x")

    return fill


def _scratch(folder: Path) -> Path:
    (folder / "factory/scratch").mkdir(parents=True)
    return folder / "factory/scratch"


@pytest.mark.parametrize("name", [b"../escaped", b"/tmp/abcde", b"a/../../bb"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: bytes) -> None:
    image = _image(tmp_path, _one("AAAAAAAAAA"), (b"A" * 10, name))
    scratch = _scratch(tmp_path)
    with pytest.raises(InputFileError, match="cannot be listed"):
        listing.listed(image, scratch)
    assert [one.name for one in scratch.parent.iterdir()] == ["scratch"]
    assert not any(scratch.iterdir())


def test_a_file_with_the_name_of_a_link_is_not_written_where_it_leads(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")

    def fill(root: Path) -> None:
        (root / "link").symlink_to(victim)
        (root / "linl").write_text("forged")

    image = _image(tmp_path, fill, (b"\4\1linl", b"\4\1link"))
    with pytest.raises(InputFileError, match="cannot be listed") as refused:
        listing.listed(image, _scratch(tmp_path))
    assert "/link is in it twice" in str(refused.value)
    assert victim.read_text() == "as it was"


def test_names_with_line_feeds_and_blanks_are_files_or_refused(tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        (root / "a name\\n<2>").write_text("x")
        (root / os.fsdecode(b"\xff")).write_text("y")

    found = listing.listed(_image(tmp_path, fill), _scratch(tmp_path)).files
    assert found is not None
    assert set(found) == {"/a name\\n<2>", "/\\xff"}
    (tmp_path / "other").mkdir()
    image = _image(tmp_path / "other", _one("a\nb"))
    with pytest.raises(InputFileError, match="cannot be listed"):
        listing.listed(image, _scratch(tmp_path / "other"))


def test_a_file_of_more_bytes_than_its_image_is_not_written(tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        with (root / "sparse").open("wb") as file:
            file.truncate(2**40)

    found = listing.listed(_image(tmp_path, fill), _scratch(tmp_path))
    assert (found.files, found.why) == (None, "its files say more bytes than the image has")


def test_folders_without_an_end_are_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image(tmp_path, _one("a"))
    scratch = _scratch(tmp_path)
    monkeypatch.setattr(debugfs, "MOST_BYTES", 50)
    with pytest.raises(InputFileError, match="cannot be read"):
        listing.listed(image, scratch)
    monkeypatch.undo()
    monkeypatch.setattr(listing, "MOST_FILES", 1)
    with pytest.raises(InputFileError, match="cannot be listed"):
        listing.listed(image, scratch)


def test_a_manifest_that_could_not_be_read_back_is_not_written(
    first: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large: Manifest = first.manifest
    monkeypatch.setattr(manifest, "MAX_BYTES", 100)
    with pytest.raises(InputFileError, match="too many files"):
        manifest.write(tmp_path, large, None)  # type: ignore[arg-type]  # it does not come to signing


def test_a_pipe_is_no_image_and_is_not_waited_for(imported: Imported, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image")
    with imported.place.open() as factory, pytest.raises(InputFileError, match="cannot be read"):
        masters.take_in(factory, "web", tmp_path / "image", None, MonotonicClock())


def test_an_image_that_is_exchanged_once_it_was_judged_is_refused(
    imported: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It then lies on a file of the factory's machine, whose content would come into the image."""
    secret, source = tmp_path / "secret", tmp_path / "image"
    secret.write_bytes(b"a secret of the factory".ljust(2**20, b"\0"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", source, "1M"], check=True, timeout=60)
    judge = qemu_img.size_bytes

    def judged_and_exchanged(disk: Disk) -> int:
        size = judge(disk)
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(source)]
        subprocess.run(command, check=True, timeout=60)
        return size

    monkeypatch.setattr(qemu_img, "size_bytes", judged_and_exchanged)
    with imported.place.open() as factory, pytest.raises(InputFileError, match="was changed"):
        masters.take_in(factory, "web", source, None, MonotonicClock())


@pytest.mark.parametrize(("at", "value"), [(15, b"\x40"), (79, b"\x04")], ids=["backing", "data-file"])
def test_an_image_that_names_another_file_is_refused_before_qemu_img_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, value: bytes
) -> None:
    image = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True, timeout=60)
    with image.open("r+b") as file:
        file.seek(at)
        file.write(value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputFileError, match="cannot be imported") as refused:
        qemu_img.size_bytes(Disk(path=image))
    assert "in another file" in refused.value.why
