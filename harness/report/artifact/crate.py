"""The artifact's RO-Crate metadata (RO-Crate 1.2), written and checked with ro-crate-py.

Every run is a dataset; every other file is listed with its size and SHA-256. The date is that of the newest
run, so that the same evidence gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from rocrate.rocrate import ROCrate

from harness import sums
from harness.analysis.claims.model import Paper
from harness.errors import RecordError
from harness.files import MAX_JSON_BYTES, json_object, write_json
from harness.json_types import Json
from harness.legible import legible
from harness.report.artifact import layout
from harness.report.artifact.facts import Facts

_VERSION = "1.2"
_LICENCE = "https://spdx.org/licenses/Apache-2.0"
_NEEDED = ("name", "description", "datePublished", "license")
"""What the root of a crate states (RO-Crate 1.2, "Direct properties of the Root Data Entity")."""
_UNREADABLE = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
)
"""What ro-crate-py raises on metadata of another form; it checks none beforehand."""
_TYPES = {
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".whl": "application/zip",
    ".yml": "application/yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the metadata says beyond the files.

    Attributes:
        papers: The papers whose claims were judged.
        facts: The runs, at least one.
        version: The program's.
    """

    papers: Sequence[Paper]
    facts: Sequence[Facts]
    version: str


def write(folder: Path, about: About) -> None:
    """Write the metadata of the files that are in `folder` by now.

    Raises:
        RecordError: A file cannot be read.
        StorageError: It cannot be written.
    """
    crate = ROCrate(version=_VERSION)
    crate.name = f"sodbench {about.version}: evidence and verdicts"
    crate.description = "Claims of papers on security on demand, the runs that judge them, and the verdicts."
    crate.license = {"@id": _LICENCE}
    crate.root_dataset["datePublished"] = max(date.fromisoformat(one.date) for one in about.facts).isoformat()
    crate.root_dataset["citation"] = [{"@id": f"#paper-{at}"} for at, _ in enumerate(about.papers, start=1)]
    crate.add_jsonld({"@id": _LICENCE, "@type": "CreativeWork", "name": "Apache License 2.0"})
    for at, paper in enumerate(about.papers, start=1):
        crate.add_jsonld(
            {
                "@id": f"#paper-{at}",
                "@type": "ScholarlyArticle",
                "name": paper.paper,
                "description": paper.cite,
            }
        )
    for one in about.facts:
        said = {"name": f"Run {one.name}", "description": f"{one.rig}; {one.trials} trials that count"}
        crate.add_dataset(dest_path=f"{layout.EVIDENCE}/{one.name}", properties=said)
    for name in sorted(name for name, _ in sums.walk(folder)):
        if not name.startswith(f"{layout.EVIDENCE}/"):
            crate.add_file(dest_path=name, properties=_properties(folder / name))
    write_json(folder / layout.CRATE, crate.metadata.generate())


def _properties(path: Path) -> dict[str, Json]:
    found: dict[str, Json] = {
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "sha256": sums.digest(path),
        "encodingFormat": _TYPES.get(path.suffix, "text/plain"),
    }
    if path.suffix == ".whl":
        found["@type"] = ["File", "SoftwareApplication"]
    return found


def require(folder: Path, digests: Mapping[str, str]) -> None:
    """Refuse metadata that is no RO-Crate, or does not describe the files of `folder`.

    Args:
        folder: Where the metadata is.
        digests: Of each file there, its SHA-256 in hexadecimal.

    Raises:
        RecordError: What is wrong with it.
    """
    place = folder / layout.CRATE
    raw: dict[str, Any] = json_object(sums.content(place, limit=MAX_JSON_BYTES), place)
    try:
        stated = {one["@id"]: {*one} for one in raw["@graph"]}
        crate = ROCrate(raw)  # which states a date where none is
        root = stated[crate.root_dataset.id]
        problems = [f"the root states no {name}" for name in _NEEDED if name not in root]
        problems += _problems(crate, folder, digests)
    except _UNREADABLE as error:
        problems = [f"ro-crate-py cannot read it: {type(error).__name__}: {error}"]
    if problems:
        raise RecordError(
            "not the RO-Crate metadata of these files",
            where=legible(str(place)),
            why=legible("; ".join(problems[:20])),
            remedy="get the artifact again from whoever published it",
        )


def _problems(crate: ROCrate, folder: Path, digests: Mapping[str, str]) -> Iterator[str]:
    if crate.version != _VERSION:
        yield f"it conforms to RO-Crate {crate.version}, and {_VERSION} is asked for"
    described: set[str] = set()
    sets: set[str] = set()
    folders = {one: _above(one) for one in digests}
    full = {folder for above in folders.values() for folder in above}
    for entity in crate.data_entities:
        name = unquote(str(entity.id))
        if "Dataset" in _types(entity.type):
            sets.add(name.rstrip("/"))
            if name.rstrip("/") not in full:
                yield f"{name} is described and has no files"
        elif name not in digests:
            yield f"{name} is described and is not there"
        else:
            described.add(name)
            if entity.get("sha256") != digests[name] or entity.get("contentSize") != str(
                (folder / name).stat().st_size
            ):
                yield f"{name} is described with another sum or size"
    for name in sorted(digests.keys() - described - {layout.CRATE}):
        if sets.isdisjoint(folders[name]):
            yield f"{name} is not described"


def _above(name: str) -> set[str]:
    """The folders that a file is in, nearest and farthest alike."""
    return {str(folder) for folder in PurePosixPath(name).parents} - {"."}


def _types(found: str | list[str]) -> list[str]:
    return [found] if isinstance(found, str) else found
