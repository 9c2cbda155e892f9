"""A user's additions to the lab's inventory: archives of load generators, and contents of the guest's image.

`lab up` writes the inventory each time, so an edit of it is lost. A file of variables is read, checked on the
controller before any machine is touched, and kept next to the inventory, which includes it until `lab down`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, field_validator
from ruamel.yaml import YAML

from harness.errors import InventoryError
from harness.json_types import Json
from harness.strict import Strict
from harness.yaml_model import refusal, validated
from harness.yaml_source import Source, parse, read_text

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII)


class _Given(Strict):
    @field_validator("*", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("a value, or the key left out")
        return value


class Archive(_Given):
    """An archive of a load generator, as the roles take it (docs/provisioning.md)."""

    source: str = Field(min_length=1, description="a file, relative to this file, or a URL")
    checksum: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="sha256:HEX, 64 digits of it")
    version: str | None = Field(default=None, min_length=1, description="a text such as 4.9.4")


class Variables(_Given):
    """The inventory's variables that a lab leaves to the user; all others follow from how it is built."""

    sodbench_mstone_archive: Archive | None = Field(default=None, description="mstone's archive")
    sodbench_faban_archive: Archive | None = Field(default=None, description="Faban's archive")
    sodbench_image_extra_packages: list[str] | None = Field(
        default=None, description="packages of the guest in addition to the basic ones"
    )
    sodbench_image_size: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]{0,4}[MG]$", description="the guest's disk, such as 4G"
    )


def read(path: Path) -> Mapping[str, Json]:
    """The variables in `path`, archives that are files named by their whole paths and proved by their sums.

    Raises:
        InventoryError: The file is not there or wrong, or an archive is not there or has another SHA-256.
    """
    if not path.is_file():
        raise InventoryError(
            "there is no such file of variables", where=str(path), remedy="docs/provisioning.md shows one"
        )
    source = parse(read_text(path))
    found, problems = validated(Variables, source)
    if found is None:
        raise refusal(problems, str(path), InventoryError, "the lab was not touched")
    given = found.model_dump(exclude_none=True)
    for name in ("sodbench_mstone_archive", "sodbench_faban_archive"):
        archive = getattr(found, name)
        if archive is not None and not _URL.match(archive.source):
            given[name]["source"] = str(_checked(archive, path, _line(source, name)))
    return given


def keep(path: Path, variables: Mapping[str, Json]) -> None:
    """Write `variables` to `path` atomically; without variables the file is removed."""
    if not variables:
        path.unlink(missing_ok=True)
        return
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write("# Kept by `sodbench lab up --vars`; `sodbench lab down` removes it.\n")
        YAML().dump(dict(variables), file)
    partial.replace(path)


def _line(source: Source, name: str) -> Sequence[int]:
    return source.line((name, "source")), source.line((name, "checksum"))


def _checked(archive: Archive, path: Path, lines: Sequence[int]) -> Path:
    """The archive's file, which exists and has the stated sum."""
    of_source, of_sum = lines
    file = (path.parent / Path(archive.source).expanduser()).resolve()
    try:
        with file.open("rb") as opened:
            found = f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"
    except OSError as error:
        raise InventoryError(
            "the archive cannot be read",
            where=f"{path}:{of_source}",
            why=f"{file}: {error.strerror or error}",
            remedy="name a file, relative to the folder of this one, or a URL",
        ) from error
    if found != archive.checksum:
        raise InventoryError(
            "the archive has another SHA-256",
            where=f"{path}:{of_sum}",
            why=f"{file}: expected {archive.checksum}, found {found}",
            remedy="get the archive again, or correct the checksum if this is the one you mean",
        )
    return file
