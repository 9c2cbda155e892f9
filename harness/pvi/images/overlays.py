"""Guests' disks: encrypted overlays on a master image, each with a random key of its own.

Formatting takes seconds and fails at times, so a small pool of formatted overlays is kept for each version of
an image; giving a guest its disk is then a rename. An overlay has no content before it is given out.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness import disk as disks
from harness import files, sums
from harness.clock import NS_PER_S, Clock
from harness.errors import PrerequisiteError, UsageError
from harness.json_types import Json
from harness.legible import legible
from harness.pvi.factory import locked_key
from harness.pvi.factory.factory import Factory
from harness.pvi.factory.profiles import is_uuid
from harness.pvi.images import masters, qemu_img
from harness.pvi.images.manifest import DISK, KEY
from harness.pvi.images.masters import Master
from harness.pvi.images.qemu_img import Disk, Formatted

POOL, GIVEN = "pool", "disks"
BASE, DONE = "master.json", "given.json"
"""In an overlay's folder: on which image it lies, and that a guest has it."""
ROLE = "overlay"
MOST_KEPT = 64
"""Of a version of an image in its pool."""
_ENTRY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A guest's disk.

    Attributes:
        folder: Where it is, with its locked key.
        master: What it lies on.
        key: Its key.
        formatted: How it was formatted, where the pool was empty; None where it came from the pool.
        took_ns: How long giving it out took, in ns.
    """

    folder: Path
    master: Master
    key: bytes
    formatted: Formatted | None
    took_ns: int

    @property
    def took_s(self) -> float:
        """How long giving it out took, in s."""
        return self.took_ns / NS_PER_S

    def disk(self, master_key: bytes) -> Disk:
        """The disk as the guest sees it, with what it lies on."""
        return Disk(path=self.folder / DISK, key=self.key, backing=self.master.disk(master_key))


def fill(factory: Factory, master: Master, wanted: int, clock: Clock) -> Iterator[Formatted]:
    """Format overlays until the pool of a master image has `wanted`; how each was formatted.

    Raises:
        UsageError: More are wanted than a pool has.
        StorageError: There is no room, or formatting failed each time.
        PrerequisiteError: qemu-img is missing, or there is no passphrase.
    """
    if not 0 <= wanted <= MOST_KEPT:
        raise UsageError(f"a pool has at most {MOST_KEPT} disks", where=str(wanted))
    pool = _pool(factory, master)
    _clear(pool)
    for _ in range(wanted - len(_kept(pool))):
        yield _format(factory, master, pool / secrets.token_hex(8), clock)


def kept(factory: Factory, master: Master) -> int:
    """How many formatted overlays the pool of a master image has."""
    return len(_kept(_pool(factory, master)))


def give(factory: Factory, master: Master, guest: str, clock: Clock) -> Given:
    """Give the guest of this UUID its disk: one from the pool, or one that is formatted now.

    Asked again for the same guest after a crash, it is the same disk; the audit log has it once.

    Raises:
        UsageError: `guest` is no UUID, or has a disk already, of this image or another.
        StorageError: There is no room.
        PrerequisiteError: Its key cannot be unlocked.
        RegistryError: The audit log cannot be written; the next call for the guest goes on.
    """
    began_ns = clock.now_ns()
    if not is_uuid(guest):
        raise UsageError("this is no UUID of a guest", where=legible(guest))
    place = factory.folder / GIVEN / guest
    if (place / DONE).exists():
        raise UsageError("the guest has a disk already", where=legible(str(place)))
    formatted = None if place.is_dir() else _move(factory, master, place, clock)
    if files.read_json(place / BASE) != _base(master):
        raise UsageError(
            "the guest's disk lies on another image",
            where=legible(str(place)),
            why="it was given out before, and the factory was killed",
            remedy="name that image and version",
        )
    file = place / KEY
    raw = sums.content(file, limit=locked_key.MAX_BYTES)
    key = locked_key.unlock_bytes(raw, ROLE, factory.passphrase(), where=str(file))
    made = master.manifest
    says = {"guest": guest, "image": made.name, "number": str(made.number), "master": made.disk}
    factory.take("disk", says, {f"{GIVEN}/{guest}/{DONE}": "{}\n"})
    return Given(folder=place, master=master, key=key, formatted=formatted, took_ns=clock.now_ns() - began_ns)


def _move(factory: Factory, master: Master, place: Path, clock: Clock) -> Formatted | None:
    """Bring an overlay from the pool to `place`; one that had to be formatted tells how that went."""
    pool, formatted = _pool(factory, master), None
    if not _kept(pool):
        formatted = _format(factory, master, pool / secrets.token_hex(8), clock)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _kept(pool)[0].rename(place)
        files.sync_folder(place.parent)
        files.sync_folder(pool)
    except OSError as error:
        raise disks.failure("the disk cannot be given out", place, error) from error
    return formatted


def _format(factory: Factory, master: Master, place: Path, clock: Clock) -> Formatted:
    """A new overlay at `place`, whole or not at all."""
    if (factory.folder / masters.FOLDER) not in master.folder.parents:
        raise PrerequisiteError("the master image is another factory's", where=legible(str(master.folder)))
    partial = place.with_name(f".{place.name}.partial")
    key = masters.new_key()
    try:
        partial.mkdir(mode=0o700, parents=True)
        overlay = Disk(path=partial / DISK, key=key, backing=Disk(path=master.folder / DISK))
        formatted = qemu_img.create(overlay, master.manifest.size_bytes, clock)
        locked = locked_key.lock_bytes(key, ROLE, factory.passphrase())
        files.write_atomic(partial / KEY, locked.to_bytes())
        files.write_json(partial / BASE, _base(master))
        partial.rename(place)
        files.sync_folder(place.parent)
    except OSError as error:
        raise disks.failure("the disk cannot be formatted", place, error) from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(partial)
    return formatted


def _base(master: Master) -> dict[str, Json]:
    return {"image": master.manifest.name, "number": master.manifest.number}


def _pool(factory: Factory, master: Master) -> Path:
    return factory.folder / POOL / master.manifest.name / str(master.manifest.number)


def _kept(pool: Path) -> list[Path]:
    return sorted(one for one in pool.iterdir() if _ENTRY.fullmatch(one.name)) if pool.is_dir() else []


def _clear(pool: Path) -> None:
    """Remove what killed processes left half-formatted; the factory is held by this process alone."""
    for one in pool.glob(".*.partial"):
        shutil.rmtree(one)
