"""The wheel of an artifact: which it is, and whether its code is the code that runs."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import harness
from harness import sums
from harness.errors import InputFileError
from harness.legible import legible

MAX_BYTES = 20_000_000
"""Of a wheel, and of what it becomes."""
_NAME = re.compile(r"sodbench-(?P<version>[0-9A-Za-z.+]{1,40})-py3-none-any\.whl", re.ASCII)
_DATA = "harness/_data/"
_CODE = Path(harness.__file__).parent


def version(wheel: Path) -> str:
    """The version that the wheel's name states.

    Raises:
        InputFileError: It is no wheel of sodbench by its name.
    """
    found = _NAME.fullmatch(wheel.name)
    if found is None:
        raise _refused(wheel, "its name is not sodbench-VERSION-py3-none-any.whl")
    return found["version"]


def differing(wheel: Path) -> list[str]:
    """The modules that are not the same in the wheel and in the program that runs, by name.

    Raises:
        InputFileError: It is no wheel, or far too large.
        RecordError: It cannot be read.
    """
    packed = dict(_modules(wheel))
    own = {
        f"harness/{path.relative_to(_CODE).as_posix()}": sums.digest(path)
        for path in _CODE.rglob("*.py")
        if "_data" not in path.relative_to(_CODE).parts
    }
    return sorted(name for name in packed.keys() | own.keys() if packed.get(name) != own.get(name))


def _modules(wheel: Path) -> Iterator[tuple[str, str]]:
    """Each module of the wheel, and the SHA-256 of its bytes."""
    left = MAX_BYTES
    with sums.opened(wheel) as file:
        if wheel.stat().st_size > MAX_BYTES:
            raise _refused(wheel, f"it takes more than {MAX_BYTES} bytes")
        try:
            archive = zipfile.ZipFile(file)
            for one in archive.infolist():
                if not one.filename.endswith(".py") or one.filename.startswith(_DATA):
                    continue
                with archive.open(one) as module:
                    data = module.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise _refused(wheel, f"it becomes more than {MAX_BYTES} bytes")
                yield one.filename, hashlib.sha256(data).hexdigest()
        except (
            zipfile.BadZipFile,
            zlib.error,
            ValueError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise _refused(wheel, str(error)) from error


def _refused(wheel: Path, why: str) -> InputFileError:
    return InputFileError(
        "no wheel of sodbench",
        where=legible(str(wheel)),
        why=legible(why),
        remedy="`make artifact` builds it",
    )
