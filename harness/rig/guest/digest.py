"""The digests of images and saved guests: the controller keeps them, and a host checks them before a start.

Both are on storage that others may be able to write. The controller takes the digests of an image where it
has it built, or, of one that was there before, when it first meets it; those of a saved guest where it saves
it. The host that is about to start a guest computes them again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from harness.errors import GuestError, RecordError
from harness.files import read_json, write_json
from harness.rig.contract import Machine

_LINE = re.compile(r"([0-9a-f]{64}) \*(.+)")


def taken(
    host: Machine, folder: str, names: Collection[str] = (), *, what: str = "guest image"
) -> dict[str, str]:
    """The SHA-256 of files in `folder`, by name, as `host` sees them: of those called `names`, or of all.

    `what` they belong to is for messages.

    Raises:
        GuestError: They cannot be read.
    """
    files = " ".join(map(shlex.quote, sorted(names))) or "*"
    command = f"cd {shlex.quote(folder)} && openssl dgst -sha256 -r {files}"
    status, out, error = host.attempt(command, limit="copy_s")
    lines = filter(None, map(_LINE.fullmatch, out.splitlines()))
    found = {line[2]: line[1] for line in lines}
    if status != 0 or not found:
        raise GuestError(
            f"the {what} cannot be read",
            where=f"host {host.role}, {folder}",
            why=error.strip()[-500:],
            remedy=f"`sodbench provision`, where it is an image; a saved guest: remove {folder}",
        )
    return found


def require(host: Machine, folder: str, known: Mapping[str, str], names: Collection[str]) -> None:
    """See on `host` that the files called `names` are what they were; with nothing `known`, ask nothing.

    Raises:
        GuestError: One is another, is missing, or was never taken.
    """
    if not known:
        return
    if changed := differing(host, folder, known, names):
        raise GuestError(
            "the guest image is not the one that was built",
            where=f"host {host.role}, {folder}: {', '.join(changed)}",
            why="the SHA-256 differs from the one that this controller keeps; no guest was started",
            remedy=f"find out who writes to the storage, remove {folder} and `sodbench provision`; "
            "if another controller built it again, see docs/provisioning.md (`images/`)",
        )


def differing(
    host: Machine, folder: str, known: Mapping[str, str], names: Collection[str], *, what: str = "guest image"
) -> list[str]:
    """Those of `names` whose digest on `host` is not the `known` one, or was never taken.

    Raises:
        GuestError: They cannot be read.
    """
    found = taken(host, folder, names, what=what)
    return sorted(name for name in names if name not in known or found.get(name) != known[name])


class Kept:
    """The digests that the controller keeps, each in a file that is named after the image or saved guest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str) -> dict[str, str]:
        """Those of an image or a saved guest; empty where there are none.

        Raises:
            RecordError: The file is damaged.
        """
        file = self._file(name)
        if not file.exists():
            return {}
        found = {one: str(value) for one, value in read_json(file).items()}
        if not found:
            raise RecordError("there is no digest in it", where=str(file), remedy="remove the file")
        return found

    def keep(self, name: str, digests: Mapping[str, str]) -> None:
        """Keep those of an image or a saved guest, instead of earlier ones.

        Raises:
            StorageError: The file cannot be written.
        """
        write_json(self._file(name), dict(digests))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"
