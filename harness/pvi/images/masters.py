"""Master images in a factory: imported, encrypted once with a key of their own, and checked when opened.

An image is written into a folder that has its final name at the end, and counts only once the factory's state
has it, of which the audit log has the digest. What a killed import left is cleared by the next one.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import disk as disks
from harness import files, sums
from harness.clock import Clock
from harness.errors import InputFileError, RecordError, UsageError
from harness.legible import legible
from harness.pvi.factory import locked_key
from harness.pvi.factory.authority import moment
from harness.pvi.factory.factory import TRUST, Factory
from harness.pvi.factory.ledger import Imported
from harness.pvi.images import listing, manifest, qemu_img
from harness.pvi.images.manifest import DISK, KEY, Manifest, altered
from harness.pvi.images.qemu_img import Disk, Format, Formatted

FOLDER = "images"
ROLE = "image"
KEY_BYTES = 32
"""Of a disk; its key is written in hexadecimal, as QEMU takes text alone."""


@dataclass(frozen=True, slots=True)
class Master:
    """A master image that was checked.

    Attributes:
        folder: Where it is.
        manifest: What it is.
    """

    folder: Path
    manifest: Manifest

    def disk(self, key: bytes) -> Disk:
        """Its encrypted disk."""
        return Disk(path=self.folder / DISK, key=key)


def new_key() -> bytes:
    """A key of a disk."""
    return secrets.token_hex(KEY_BYTES).encode()


def take_in(
    factory: Factory, name: str, source: Path, format_: Format | None, clock: Clock
) -> tuple[Manifest, Formatted]:
    """Import an image as the next version of `name`; how long its formatting took as well.

    Args:
        factory: The factory, held.
        name: The image's.
        source: The image; it is not changed.
        format_: Its format; None: as it begins.
        clock: Tells how long it takes.

    Raises:
        InputFileError: `source` is no image, or it changed meanwhile.
        StorageError: There is no room, or formatting failed.
        PrerequisiteError: qemu-img or debugfs is missing, or a key cannot be unlocked.
        RegistryError: The audit log cannot be written; the image counts once it can.
        ValidationError: The name has another form.
    """
    known = [one.number for one in factory.held.state.images if one.name == name]
    number = max(known, default=0) + 1
    # The digest first: what is judged below is the image that is imported, and it is a regular file.
    source_sum = _digest(source)
    plain = Disk(path=source, format=format_ or qemu_img.format_of(source))
    size = qemu_img.size_bytes(plain)
    signing_key = factory.signer()
    key = new_key()
    with _new_folder(factory.folder / FOLDER / name, number, known) as folder:
        formatted, content = _encrypted(plain, Disk(path=folder / DISK, key=key), size, clock)
        if _digest(source) != source_sum:
            raise InputFileError("the image was changed while it was imported", where=legible(str(source)))
        made = Manifest(
            name=name,
            number=number,
            imported_ns=factory.now_ns(),
            source=source_sum,
            disk=sums.digest(folder / DISK),
            disk_bytes=(folder / DISK).stat().st_size,
            size_bytes=size,
            packages=content.packages,
            files=content.files,
            why=content.why,
        )
        digest = manifest.write(folder, made, signing_key)
        locked = locked_key.lock_bytes(key, ROLE, factory.passphrase())
        files.write_atomic(folder / KEY, locked.to_bytes())
    says = {"image": name, "number": str(number), "source": source_sum, "disk": made.disk, "manifest": digest}
    images = (*factory.held.state.images, Imported(name=name, number=number, manifest=digest))
    factory.take("image", says, {}, images=images)
    return made, formatted


def opened(factory: Factory, name: str, number: int | None = None) -> Master:
    """A version of an image, by default the newest, once manifest and disk are what was imported.

    Raises:
        UsageError: The factory has no such image.
        AlteredError: Something of it was changed, or is another version.
        CertificateRefusedError: The key that signed it does not count.
        RecordError: It cannot be read.
    """
    found = [one for one in factory.held.state.images if one.name == name and number in {None, one.number}]
    if not found:
        raise UsageError(
            "the factory has no such image",
            where=legible(name if number is None else f"{name}, version {number}"),
            remedy="sodbench pvi image list",
        )
    newest = max(found, key=lambda one: one.number)
    folder = place(factory.folder, newest)
    if (own := sums.digest(folder / manifest.FILE)) != newest.manifest:
        why = f"its SHA-256 is {own}, and the factory's state has {newest.manifest}"
        raise altered(folder / manifest.FILE, "the manifest is not the one that was signed", why)
    made = manifest.check(folder, factory.folder / TRUST, now=moment(factory.now_ns()))
    return Master(folder, made)


def place(folder: Path, image: Imported) -> Path:
    """Where the factory in `folder` has an image."""
    return folder / FOLDER / image.name / str(image.number)


def key(factory: Factory, master: Master) -> bytes:
    """The key of an image's disk.

    Raises:
        PrerequisiteError: It cannot be unlocked.
        RecordError: It cannot be read.
    """
    file = master.folder / KEY
    raw = sums.content(file, limit=locked_key.MAX_BYTES)
    return locked_key.unlock_bytes(raw, ROLE, factory.passphrase(), where=str(file))


def _digest(source: Path) -> str:
    try:
        return sums.digest(source)
    except RecordError as error:
        raise InputFileError("the image cannot be read", where=legible(str(source)), why=error.why) from error


def _encrypted(plain: Disk, target: Disk, size: int, clock: Clock) -> tuple[Formatted, listing.Listing]:
    """Encrypt the disk `plain` into `target`, see that both are equal, and list what is in it."""
    formatted = qemu_img.create(target, size, clock)
    qemu_img.copy(plain, target)
    if not qemu_img.equal(plain, target):
        raise InputFileError("the image was changed while it was imported", where=legible(str(plain.path)))
    if plain.format == "raw":
        return formatted, listing.listed(plain.path, target.path.parent)
    unpacked = target.path.with_name("plain.raw")
    try:
        qemu_img.plain(plain, unpacked)
        return formatted, listing.listed(unpacked, target.path.parent)
    finally:
        unpacked.unlink(missing_ok=True)


@contextmanager
def _new_folder(images: Path, number: int, known: list[int]) -> Iterator[Path]:
    """A folder that becomes version `number` when the block ends well; others than `known` are cleared."""
    partial = images / f".{number}.partial"
    try:
        images.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one in images.iterdir():
            if one.name not in map(str, known):
                shutil.rmtree(one)
        partial.mkdir(mode=0o700)
    except OSError as error:
        raise disks.failure("the image cannot be imported", images, error) from error
    try:
        yield partial
        partial.rename(images / str(number))
        files.sync_folder(images)
    except OSError as error:
        raise disks.failure("the image cannot be imported", images, error) from error
    finally:
        if partial.exists():
            shutil.rmtree(partial)
