"""A folder as one file: the same bytes each time, and what a hostile file is refused for."""

from __future__ import annotations

import random
import stat
import zipfile
from pathlib import Path

import pytest

from harness.errors import AlteredError, RecordError, SodbenchError, UsageError
from harness.evidence import bundle

FILES = {"a.txt": b"first\n", "b/c.txt": b"second\n" * 40, "b/d/e.bin": bytes(range(256))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    return tmp_path / "folder"


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    bundle.pack(folder, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_it_comes_back_to_the_same_files(packed: Path, tmp_path: Path) -> None:
    bundle.unpack(packed, tmp_path / "again")
    assert contents(tmp_path / "again") == FILES


def test_the_same_files_make_the_same_bytes(packed: Path, folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "other"
    for name in reversed(FILES):
        (again / name).parent.mkdir(parents=True, exist_ok=True)
        (again / name).write_bytes(FILES[name])
        (again / name).chmod(0o600)
    size = bundle.pack(again, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    assert size == packed.stat().st_size


def test_any_bit_that_is_flipped_is_noticed(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for at in random.Random(14).sample(range(8 * len(whole)), 100):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        packed.write_bytes(flipped)
        with pytest.raises(RecordError):
            bundle.unpack(packed, tmp_path / f"again-{at}")


@pytest.mark.parametrize("changed", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"x" + b, lambda _: b""])
def test_what_is_cut_or_has_more_is_refused(packed: Path, tmp_path: Path, changed: object) -> None:
    packed.write_bytes(changed(packed.read_bytes()))  # type: ignore[operator]
    with pytest.raises(RecordError):
        bundle.unpack(packed, tmp_path / "again")


def test_a_damaged_file_is_named(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes().replace(b"first", b"fjrst"))
    with pytest.raises(AlteredError, match=r"a\.txt is damaged"):
        bundle.unpack(packed, tmp_path / "again")


def hostile(file: Path, *members: tuple[str, bytes], mode: int = stat.S_IFREG, compress: int = 0) -> Path:
    with zipfile.ZipFile(file, "w") as made:
        for name, data in members:
            one = zipfile.ZipInfo(name)
            one.create_system, one.external_attr, one.compress_type = 3, (mode | 0o644) << 16, compress
            made.writestr(one, data)
    return file


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "mode", "said"),
    [
        ([("../outside", b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("/etc/cron.d/x", b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("a/./b", b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("a\\b", b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("a\x1b[2Jb", b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("a" * 400, b"x")], stat.S_IFREG, "leads elsewhere"),
        ([("link", b"/etc/passwd")], stat.S_IFLNK, "such as a link"),
        ([("pipe", b"")], stat.S_IFIFO, "such as a link"),
        ([("a", b"x"), ("a", b"y")], stat.S_IFREG, "named twice"),
        ([("a", b"x"), ("a/b", b"y")], stat.S_IFREG, "a file and a folder"),
    ],
)
def test_what_is_never_packed_is_refused_before_anything_is_written(
    tmp_path: Path, members: list[tuple[str, bytes]], mode: int, said: str
) -> None:
    file = hostile(tmp_path / "x.zip", *members, mode=mode)
    with pytest.raises(RecordError, match=said) as caught:
        bundle.unpack(file, tmp_path / "again")
    assert caught.value.exit_code == 12
    assert str(caught.value).isprintable() or "\x1b" not in str(caught.value)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_could_become_any_size_is_refused(tmp_path: Path, method: int) -> None:
    file = hostile(tmp_path / "bomb.zip", ("zeros", bytes(10**6)), compress=method)
    with pytest.raises(RecordError, match="compressed"):
        bundle.unpack(file, tmp_path / "again")


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    """Each entry of the list names the bytes of the first file."""
    file = hostile(tmp_path / "bomb.zip", *((f"{at:03}", bytes(1000)) for at in range(50)))
    with zipfile.ZipFile(file) as whole:
        start, listed = whole.infolist()[1].header_offset, whole.start_dir
    raw = file.read_bytes()
    end = bytearray(raw[-22:])
    end[16:20] = start.to_bytes(4, "little")
    file.write_bytes(raw[:start] + raw[listed:-22] + bytes(end))
    with pytest.raises(RecordError, match="overlap"):
        bundle.unpack(file, tmp_path / "again")


def test_too_many_files_are_refused_before_their_list_is_read(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    with pytest.raises(RecordError, match="3 files, and 2 are allowed"):
        bundle.unpack(packed, tmp_path / "again")


def test_too_large_a_bundle_is_neither_packed_nor_read(
    packed: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_BYTES", 600)
    with pytest.raises(RecordError, match="too large for a bundle"):
        bundle.pack(folder, tmp_path / "more.zip")
    with pytest.raises(RecordError, match="too large for a bundle"):
        bundle.unpack(packed, tmp_path / "again")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bundle.zip", "folder"]


def test_links_are_not_packed_and_no_file_is_replaced(packed: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there already"):
        bundle.pack(folder, packed)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(RecordError, match="link: not a file that a bundle can hold"):
        bundle.pack(folder, tmp_path / "more.zip")


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SodbenchError) as caught:
            bundle.unpack(path, tmp_path / "again")
        assert caught.value.exit_code == 12
