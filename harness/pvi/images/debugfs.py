"""debugfs(8), as far as a master image is read with it: folders by their inodes, and files by theirs.

What it prints comes from the image: a forged one can make it endless, so that it is read as far as a bound.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from harness.errors import InputFileError, PrerequisiteError, StorageError
from harness.legible import legible

MOST_BYTES = 256 * 2**20
"""Of what debugfs prints in one run."""
MOST_LINE_BYTES = 1024
"""A name has 255 bytes at most."""
LIMIT_S = 3600.0
_COMMANDS = "commands"


def lines(raw: Path, at: int, asked: Sequence[str], scratch: Path) -> Generator[bytes, None, None]:
    """What debugfs prints for the commands `asked`, line by line, errors among them; to be closed.

    Args:
        raw: The image.
        at: Where its file system begins, in bytes.
        asked: The commands.
        scratch: A folder for the list of commands.

    Raises:
        PrerequisiteError: There is no debugfs.
        InputFileError: It prints more than :data:`MOST_BYTES`, or did not end within :data:`LIMIT_S`.
    """
    count = 0
    with _printed(raw, at, asked, scratch) as printed:
        while line := printed.readline(MOST_LINE_BYTES):
            count += len(line)
            if count > MOST_BYTES or not line.endswith(b"\n"):
                raise InputFileError(
                    "the image's file system cannot be read",
                    where=legible(str(raw)),
                    why="its folders have no end" if count > MOST_BYTES else "a name in it is too long",
                    remedy="see what `e2fsck -fn` says of it; import an image that it calls clean",
                )
            if not line.startswith(b"debugfs 1."):
                yield line.removesuffix(b"\n")


def dump(raw: Path, at: int, inodes: Sequence[int], scratch: Path) -> None:
    """Write the content of each inode into the file of `scratch` that has its number as its name.

    Raises:
        PrerequisiteError: There is no debugfs.
        StorageError: One cannot be read or written.
    """
    asked = [f"dump <{inode}> {inode}" for inode in inodes]
    echoed = {f"debugfs: {one}".encode() for one in asked}
    with closing(lines(raw, at, asked, scratch)) as said:
        for line in said:
            if line and line not in echoed:
                raise _unread(raw, legible(line.decode(errors="replace")))
    missing = [inode for inode in inodes if not (scratch / str(inode)).is_file()]
    if missing:
        raise _unread(raw, f"debugfs wrote nothing for inode {missing[0]}")


@contextmanager
def _printed(raw: Path, at: int, asked: Sequence[str], scratch: Path) -> Iterator[IO[bytes]]:
    (scratch / _COMMANDS).write_text("".join(f"{one}\n" for one in asked))
    try:
        process = subprocess.Popen(
            ["debugfs", "-f", _COMMANDS, f"{raw.resolve()}?offset={at}"],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(
            "there is no debugfs on this machine",
            why="it reads the files of a master image",
            remedy="install the package e2fsprogs",
        ) from error
    ended = threading.Timer(LIMIT_S, process.kill)
    ended.daemon = True
    ended.start()
    try:
        if process.stdout is None:
            raise _unread(raw, "debugfs has no output")
        with process.stdout:
            yield process.stdout
            status = process.wait()
        if status != 0:
            raise _unread(raw, f"debugfs ended with status {status}")
    finally:
        ended.cancel()
        process.kill()
        process.wait()


def _unread(raw: Path, why: str) -> StorageError:
    return StorageError(
        "the files of the image cannot be read",
        where=legible(str(raw)),
        why=why,
        remedy="look whether the disk is full (`df`) and whether the image is whole (`e2fsck -fn`)",
    )
