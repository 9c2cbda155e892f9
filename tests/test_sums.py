from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import sums
from harness.errors import RecordError

NAMES = [
    "plain",
    "two words",
    "a\\b",
    "line\nfeed",
    "return\r",
    "é",
    "ä\u2028b",
    os.fsdecode(b"caf\xe9"),
    "*x",
]


def listed(folder: Path) -> dict[str, str]:
    return {name: sums.digest(folder / name) for name, regular in sums.walk(folder) if regular}


def test_sha256sum_reads_what_is_written_whatever_the_files_are_called(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / "files" / name).write_text(str(number))
    found = listed(tmp_path / "files")
    (tmp_path / "SUMS").write_bytes(sums.text(found))
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", tmp_path / "SUMS"],
        cwd=tmp_path / "files",
        capture_output=True,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, b"")
    assert sums.read(tmp_path / "SUMS") == found
    assert set(found) == set(NAMES)


def test_what_sha256sum_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in NAMES:
        (tmp_path / "files" / name).write_text(name, errors="surrogateescape")
    told = subprocess.run(["sha256sum", *NAMES], cwd=tmp_path / "files", capture_output=True, check=True)
    (tmp_path / "SUMS").write_bytes(told.stdout)
    assert sums.read(tmp_path / "SUMS") == listed(tmp_path / "files")


@given(st.dictionaries(st.text(st.characters(exclude_characters="\0/"), min_size=1), st.just("0" * 64)))
def test_any_names_come_back(names: dict[str, str]) -> None:
    try:
        kept = {
            name: digest for name, digest in names.items() if os.fsencode(name) and name not in {".", ".."}
        }
    except UnicodeEncodeError:  # half a surrogate pair is no name
        return
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"sums-{os.getpid()}"
    path.write_bytes(sums.text(kept))
    try:
        assert sums.read(path) == kept
    finally:
        path.unlink()


SUM = b"0" * 64


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"x", SUM + b" one blank", SUM + b"  ", SUM[1:] + b"g  x", SUM + b"  nul\0"),
        *(SUM + b"  " + name for name in (b"/etc/passwd", b"../x", b"a/../../x", b"a//b", b"./a")),
        SUM + b"  twice\n" + SUM + b"  twice",
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "SUMS"
    path.write_bytes(b"1" * 64 + b"  good\n" + line + b"\n")
    with pytest.raises(RecordError, match="not a line of sha256sum") as caught:
        sums.read(path)
    assert caught.value.where in {f"{path}:2", f"{path}:3"}


def test_what_is_no_file_is_neither_waited_for_nor_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/link").symlink_to(tmp_path / "secret")
    (tmp_path / "run/folder").symlink_to(tmp_path)
    assert dict(sums.walk(tmp_path / "run")) == {"link": False, "folder": False}
    for path in (tmp_path / "fifo", tmp_path / "run/link", tmp_path / "run", tmp_path / "none"):
        with pytest.raises(RecordError, match="cannot be read"):
            sums.digest(path)


def test_a_list_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "SUMS").open("wb") as file:
        file.truncate(sums.MAX_BYTES + 1)
    with pytest.raises(RecordError, match="far too long"):
        sums.read(tmp_path / "SUMS")
