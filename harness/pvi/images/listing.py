"""What is in a master image: its Debian packages, and each of its files with its SHA-256.

The file system is read with debugfs(8) and never mounted: a mount would need root's rights and would let the
kernel interpret the image.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import sums
from harness.errors import PrerequisiteError, StorageError
from harness.legible import legible
from harness.pvi.images import partitions

_STATUS = "var/lib/dpkg/status"
_MOST_STATUS_BYTES = 64 * 2**20
_MAGIC_AT, _MAGIC = 1024 + 0x38, b"\x53\xef"
"""Where an ext2, ext3 or ext4 file system says that it is one."""
_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is in an image.

    Attributes:
        packages: Name and architecture, such as ``bash:amd64``, to version; None where no dpkg keeps a list.
        files: Path as IMA writes it to ``sha256:`` and the digest; None where they cannot be read.
        why: Why one of the two is None; empty otherwise.
    """

    packages: dict[str, str] | None
    files: dict[str, str] | None
    why: str = ""


def listed(raw: Path, scratch: Path) -> Listing:
    """What is in the image `raw`, if it has one ext file system: as a whole, or in a partition.

    Args:
        raw: The image.
        scratch: A folder with room for all files of the image.

    Raises:
        PrerequisiteError: There is no debugfs.
        StorageError: The files do not fit into `scratch`.
    """
    places = [at for at in partitions.offsets(raw) if _is_ext(raw, at)]
    if len(places) != 1:
        why = f"the image has {len(places) or 'no'} ext file system{'s' if len(places) > 1 else ''}"
        return Listing(packages=None, files=None, why=why)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=scratch) as folder:
        root = Path(folder, "root")
        root.mkdir()
        _unpack(raw, places[0], root)
        files = dict(_digests(root))
        packages = _packages(root / _STATUS)
    why = "" if packages is not None else f"the image has no /{_STATUS}"
    return Listing(packages=packages, files=files, why=why)


def _is_ext(raw: Path, at: int) -> bool:
    with raw.open("rb") as file:
        file.seek(at + _MAGIC_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def _unpack(raw: Path, at: int, root: Path) -> None:
    """Have debugfs write all files below `root`; it ends with 0 even where that failed, and says so."""
    try:
        done = subprocess.run(
            ["debugfs", "-R", f"rdump / {root.name}", f"{raw.resolve()}?offset={at}"],
            cwd=root.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LIMIT_S,
            env={**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(
            "there is no debugfs on this machine",
            why="it reads the files of a master image",
            remedy="install the package e2fsprogs",
        ) from error
    said = [one for one in done.stderr.splitlines() if not one.startswith("debugfs 1.") and one.strip()]
    if done.returncode != 0 or said:
        raise StorageError(
            "the files of the image cannot be read",
            where=legible(str(raw)),
            why=legible("; ".join(said)[-500:]) or f"debugfs ended with status {done.returncode}",
            remedy="look whether the disk is full (`df`) and whether the image is whole (`e2fsck -fn`)",
        )


def _digests(root: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, files in os.walk(root):
        for name in folders:
            below = Path(folder, name)
            if not below.is_symlink():
                below.chmod(0o700)  # those of the image may keep their own owner out
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                path.chmod(0o600)
                yield _as_ima(path.relative_to(root)), f"sha256:{sums.digest(path)}"


def _as_ima(path: Path) -> str:
    """The path as it is read from an IMA list."""
    return "/" + os.fsencode(path).decode("utf-8", "backslashreplace")


def _packages(status: Path) -> dict[str, str] | None:
    """The installed packages by dpkg's status file (deb-control(5)); None where there is no such file."""
    if status.is_symlink() or not status.is_file():
        return None
    text = sums.content(status, limit=_MOST_STATUS_BYTES).decode("utf-8", "replace")
    found: dict[str, str] = {}
    for paragraph in text.split("\n\n"):
        lines = (line.partition(":") for line in paragraph.splitlines() if not line.startswith(" "))
        fields = {key: value.strip() for key, _, value in lines}
        if fields.get("Status", "").endswith(" installed") and "Package" in fields:
            name = f"{fields['Package']}:{fields.get('Architecture', 'all')}"
            found[name] = fields.get("Version", "")
    return dict(sorted(found.items()))
