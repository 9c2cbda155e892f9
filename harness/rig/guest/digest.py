"""The digests of an image's files: the controller keeps them, and each guest boots what they still describe.

The image is on storage that others may be able to write. The controller takes the digests where it has the
image built, or, of an image that was there before, when it first meets it. The host that is about to boot a
guest computes them again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from harness.errors import GuestError, RecordError
from harness.files import read_json, write_json
from harness.rig.contract import Machine

HOST_KEY = "guest.hostkey.pub"
"""Of an image: what its guests are recognised by."""

_LINE = re.compile(r"([0-9a-f]{64}) \*(.+)")


def taken(host: Machine, folder: str, names: Collection[str] = ()) -> dict[str, str]:
    """The SHA-256 of files in `folder`, by name, as `host` sees them: of those called `names`, or of all.

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
            "the guest image cannot be read",
            where=f"host {host.role}, {folder}",
            why=error.strip()[-500:],
            remedy="`sodbench provision`",
        )
    return found


def require(host: Machine, folder: str, known: Mapping[str, str], names: Collection[str]) -> None:
    """See on `host` that the files called `names` are what they were; with nothing `known`, ask nothing.

    Raises:
        GuestError: One is another, is missing, or was never taken.
    """
    if not known:
        return
    found = taken(host, folder, names)
    changed = sorted(name for name in names if name not in known or found.get(name) != known[name])
    if changed:
        raise GuestError(
            "the guest image is not the one that was built",
            where=f"host {host.role}, {folder}: {', '.join(changed)}",
            why="the SHA-256 differs from the one that this controller keeps; no guest was started",
            remedy=f"find out who writes to the storage, remove {folder} and `sodbench provision`; "
            "if another controller built it again, see docs/provisioning.md (`images/`)",
        )


class Kept:
    """The digests of images that the controller keeps, each in a file that is named after the image."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, image_key: str) -> dict[str, str]:
        """Those of an image; empty where there are none.

        Raises:
            RecordError: The file is damaged.
        """
        file = self._file(image_key)
        if not file.exists():
            return {}
        found = {name: str(value) for name, value in read_json(file).items()}
        if not found:
            raise RecordError("there is no digest in it", where=str(file), remedy="remove the file")
        return found

    def keep(self, image_key: str, digests: Mapping[str, str]) -> None:
        """Keep those of an image, instead of earlier ones.

        Raises:
            StorageError: The file cannot be written.
        """
        write_json(self._file(image_key), dict(digests))

    def _file(self, image_key: str) -> Path:
        return self._folder / f"{image_key}.json"
