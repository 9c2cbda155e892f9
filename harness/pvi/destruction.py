"""What became of all that a guest left on its host, and the certificate that says so.

A certificate is complete only if every kind of remains was looked at, and each was destroyed or never there.
Nothing is taken for destroyed because it was told to be: the memory's finding follows from what was counted,
written and read back. Pages that the kernel has freed can no longer be looked at; no finding speaks of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationError

from harness import sums
from harness.attest.evidence import Count
from harness.errors import AlteredError
from harness.evidence import signature
from harness.evidence.signature import Kind
from harness.files import MAX_JSON_BYTES, write_json
from harness.legible import legible
from harness.pvi.package import Uuid
from harness.sentence import sentence
from harness.strict import Strict

FILE = "destruction.json"
KIND = Kind("certificate-of-destruction")


class Remains(StrEnum):
    """What a guest leaves on a host."""

    MEMORY = "memory"
    VTPM_STATE = "vtpm-state"
    DISK_KEY = "disk-key"
    SECRETS = "secrets"
    SAVE_FILES = "save-files"
    CORE_DUMPS = "core-dumps"
    SWAP = "swap"
    MIGRATION_SOURCES = "migration-sources"


class Fate(StrEnum):
    """What became of it. What was not looked at is ``unknown``, and that is no destruction."""

    DESTROYED = "destroyed"
    NEVER_THERE = "never-there"
    LEFT = "left"
    UNKNOWN = "unknown"

    @property
    def gone(self) -> bool:
        """Whether nothing of it is left, as far as was seen."""
        return self is Fate.DESTROYED or self is Fate.NEVER_THERE


class Finding(Strict):
    """What became of one kind of remains.

    Attributes:
        remains: Which.
        fate: What became of it.
        why: How that is known, in one sentence.
        figures: What was measured, by name with its unit.
    """

    remains: Remains
    fate: Fate
    why: str = Field(min_length=1, max_length=1000)
    figures: dict[str, Count] = Field(default_factory=dict)


class Looked(Strict):
    """What the program on the host counted.

    Attributes:
        counted: Canary in hexadecimal to how often it was found.
        size_bytes: The memory's size.
        allocated_bytes: How much of it has pages.
    """

    counted: dict[str, Count]
    size_bytes: Count
    allocated_bytes: Count


class Overwritten(Strict):
    """What the program on the host did to the memory.

    Attributes:
        written_bytes: How much was overwritten.
        read_back_bytes: How much of it read back as it was written.
        write_ns: How long the writing took, the host's CLOCK_MONOTONIC.
        read_ns: How long reading it back took.
        size_bytes: The memory's size afterwards.
        allocated_bytes: How much of it has pages afterwards.
    """

    written_bytes: Count
    read_back_bytes: Count
    write_ns: Count
    read_ns: Count
    size_bytes: Count
    allocated_bytes: Count


def memory(planted: Mapping[str, int], before: Looked, done: Overwritten, after: Looked) -> Finding:
    """What became of the guest's memory.

    Args:
        planted: Canary in hexadecimal to how often the guest says it wrote it.
        before: What was found before the overwriting, through the same descriptor.
        done: The overwriting.
        after: What was found afterwards.
    """
    fate, why = _memory_fate(planted, before, done, after)
    figures = {
        "planted": sum(planted.values()),
        "found_before": sum(before.counted.values()),
        "found_after": sum(after.counted.values()),
        "allocated_bytes": before.allocated_bytes,
        "written_bytes": done.written_bytes,
        "read_back_bytes": done.read_back_bytes,
        "write_ns": done.write_ns,
        "read_ns": done.read_ns,
    }
    return Finding(remains=Remains.MEMORY, fate=fate, why=why, figures=figures)


def _memory_fate(
    planted: Mapping[str, int], before: Looked, done: Overwritten, after: Looked
) -> tuple[Fate, str]:
    if not planted or not all(planted.values()):
        return Fate.UNKNOWN, "the guest planted no canary, so that nothing shows whose memory it was"
    if set(after.counted) != set(planted):
        return Fate.UNKNOWN, "other canaries were looked for than were planted"
    if any(after.counted.values()):
        return Fate.LEFT, f"{sum(after.counted.values())} canaries are still in the memory"
    if before.counted != planted:
        why = f"{sum(before.counted.values())} canaries were found of {sum(planted.values())} planted"
        return Fate.UNKNOWN, f"{why}: it is not shown to be all of the guest's memory"
    if not before.size_bytes == done.size_bytes == after.size_bytes:
        return Fate.UNKNOWN, "its size changed, so that pages were freed instead of overwritten"
    pages = (before.allocated_bytes, done.written_bytes, done.read_back_bytes, done.allocated_bytes)
    if len(set(pages)) != 1:
        why = "{} bytes had pages, {} were written, {} read back as written, {} have pages now".format(*pages)
        return Fate.UNKNOWN, f"not every page was overwritten in place: {why}"
    return Fate.DESTROYED, "every page was overwritten in place and read back, and no canary is left"


class Certificate(Strict):
    """What became of a guest on a host.

    Attributes:
        version: Of this form.
        guest: UUID of the guest.
        host: The host's name in the registry.
        began_ns: When the destruction began, ns since 1970-01-01 UTC by the factory's clock.
        ended_ns: When it ended.
        findings: One for each kind of remains.
    """

    version: Literal[1] = 1
    guest: Uuid
    host: Annotated[str, Field(min_length=1, max_length=255)]
    began_ns: Count
    ended_ns: Count
    findings: tuple[Finding, ...] = Field(strict=False)

    @property
    def complete(self) -> bool:
        """Whether nothing of the guest is left there, as far as was seen."""
        return all(one.fate.gone for one in self.findings)


def certificate(
    guest: str, host: str, findings: Iterable[Finding], *, began_ns: int, ended_ns: int
) -> Certificate:
    """The certificate over `findings`; a kind of remains that none speaks of is ``unknown`` in it.

    Raises:
        ValueError: Two findings speak of one kind, the end is before the beginning, or `guest` is no UUID.
    """
    by_kind: dict[Remains, Finding] = {}
    for one in findings:
        if one.remains in by_kind:
            raise ValueError(f"two findings of {one.remains}")
        by_kind[one.remains] = one
    if ended_ns < began_ns:
        raise ValueError("the destruction ended before it began")
    unseen = {kind: Finding(remains=kind, fate=Fate.UNKNOWN, why="it was not looked at") for kind in Remains}
    every = tuple({**unseen, **by_kind}[kind] for kind in Remains)
    return Certificate(guest=guest, host=host, began_ns=began_ns, ended_ns=ended_ns, findings=every)


def write(folder: Path, one: Certificate, factory: ec.EllipticCurvePrivateKey) -> Path:
    """Write the certificate into `folder` and sign it there.

    Returns:
        The certificate's file; the signature lies next to it.

    Raises:
        StorageError: They cannot be written.
    """
    write_json(folder / FILE, one.model_dump(mode="json"))
    signature.sign(folder, [FILE], factory, kind=KIND)
    return folder / FILE


def read(folder: Path, factory: ec.EllipticCurvePublicKey) -> Certificate:
    """The certificate in `folder`, if this factory signed it.

    Raises:
        AlteredError: It did not, or the file is no certificate of every kind of remains.
        RecordError: The file cannot be read.
    """
    signature.verify(folder, [FILE], factory, kind=KIND)
    place = folder / FILE
    try:
        found = Certificate.model_validate_json(sums.content(place, limit=MAX_JSON_BYTES))
    except ValidationError as error:
        raise _no_certificate(place, sentence(error)) from error
    if [one.remains for one in found.findings] != list(Remains):
        raise _no_certificate(place, "it does not speak of each kind of remains once")
    return found


def _no_certificate(place: Path, why: str) -> AlteredError:
    return AlteredError("it is no certificate of destruction", where=legible(str(place)), why=legible(why))
