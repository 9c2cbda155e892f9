"""qemu-img as the factory uses it: encrypted disks (LUKS in qcow2), whose keys no argument has.

A key reaches qemu-img through an anonymous file of memory (memfd_create(2)), of which the arguments have the
descriptor's number alone.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.clock import NS_PER_S, Clock
from harness.errors import InputFileError, PrerequisiteError, StorageError
from harness.json_types import Json
from harness.legible import legible

Format = Literal["raw", "qcow2"]
TRIES = 5
"""How often a disk is formatted at most."""
BUSY = "Unable to get accurate CPU usage"
"""What qemu-img says where it cannot time the derivation of a key: on a busy machine it often cannot."""
_LUKS = "encrypt.format=luks,encrypt.iter-time=10"
"""Each opening derives for 10 ms, not for 2 s: the keys are random, and no derivation makes them safer."""
_LIMIT_S = 7200.0
_QCOW2 = b"QFI\xfb"
_INCOMPATIBLE_AT, _DATA_FILE, _WITHOUT_FEATURES = 72, 1 << 2, 2
"""Where a head of version 3 has its incompatible features, and which says that the data are elsewhere."""
_ELSEWHERE = "a part of it is in another file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk in a file.

    Attributes:
        path: The file.
        format: Of the file. It is always told, as a guest could write another format's head into a raw disk.
        key: Of an encrypted disk, in ASCII; None where it is not encrypted.
        backing: What an overlay lies on; None for a whole disk.
    """

    path: Path
    format: Format = "qcow2"
    key: bytes | None = None
    backing: Disk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """How a disk was formatted.

    Attributes:
        took_ns: How long it took with all tries, in ns.
        tries: How many tries that were.
    """

    took_ns: int
    tries: int

    @property
    def took_s(self) -> float:
        """How long it took, in s."""
        return self.took_ns / NS_PER_S


def format_of(path: Path) -> Format:
    """The format of an image that its owner supplies, by how it begins.

    Raises:
        InputFileError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return "qcow2" if file.read(len(_QCOW2)) == _QCOW2 else "raw"
    except OSError as error:
        raise InputFileError(
            "the image cannot be read", where=legible(str(path)), why=error.strerror or str(error)
        ) from error


def size_bytes(disk: Disk) -> int:
    """How much a guest sees of an image that its owner supplies.

    Raises:
        InputFileError: It is no image, it is encrypted or empty, or a part of it is in another file.
        PrerequisiteError: There is no qemu-img.
    """
    where = legible(str(disk.path))
    if disk.format == "qcow2" and _names_a_file(disk.path):
        raise _not_whole(where, _ELSEWHERE)
    done = _run(["info", "--output=json", "--image-opts"], [image_options(disk, {})], {})
    if done.returncode != 0:
        raise InputFileError("this is no image of a disk", where=where, why=_why(done))
    said: dict[str, Json] = json.loads(done.stdout)
    details = said.get("format-specific")
    data = details.get("data") if isinstance(details, dict) else None
    elsewhere = "backing-filename" in said or (isinstance(data, dict) and "data-file" in data)
    size = said.get("virtual-size")
    if elsewhere or said.get("encrypted") is True or not isinstance(size, int) or size < 1:
        raise _not_whole(where, _ELSEWHERE if elsewhere else "it is encrypted, or empty")
    return size


def _names_a_file(path: Path) -> bool:
    """Whether a qcow2's head names a backing file or a file of data: even ``qemu-img info`` may open that."""
    try:
        with path.open("rb") as file:
            head = file.read(_INCOMPATIBLE_AT + 8).ljust(_INCOMPATIBLE_AT + 8, b"\0")
    except OSError as error:
        raise InputFileError(
            "the image cannot be read", where=legible(str(path)), why=error.strerror or str(error)
        ) from error
    version, backing_at = struct.unpack_from(">IQ", head, len(_QCOW2))
    (incompatible,) = struct.unpack_from(">Q", head, _INCOMPATIBLE_AT)
    return bool(backing_at or (version != _WITHOUT_FEATURES and incompatible & _DATA_FILE))


def _not_whole(where: str, why: str) -> InputFileError:
    return InputFileError(
        "the image cannot be imported",
        where=where,
        why=why,
        remedy="qemu-img convert makes a whole, plain image of it",
    )


def create(disk: Disk, size: int, clock: Clock) -> Formatted:
    """Format an encrypted disk of `size` bytes; tried again where the machine is too busy for it.

    Args:
        disk: Its key is set; its backing file is named and not opened.
        size: In bytes, as the guest sees it.
        clock: Tells how long it takes.

    Raises:
        StorageError: It failed, or the machine was too busy each time.
        PrerequisiteError: There is no qemu-img.
    """
    before_ns = clock.now_ns()
    argv = ["create", "-q", "-f", "qcow2", "-o", f"{_LUKS},encrypt.key-secret=own"]
    if disk.backing is not None:
        argv += ["-u", "-b", disk.backing.path.name, "-F", disk.backing.format]
    for tried in range(1, TRIES + 1):
        done = _run(argv, [str(disk.path), str(size)], {"own": disk.key or b""})
        if done.returncode == 0:
            return Formatted(took_ns=clock.now_ns() - before_ns, tries=tried)
        if BUSY not in done.stderr:
            raise _failed("the disk cannot be formatted", disk.path, _why(done))
    raise _failed("the disk cannot be formatted", disk.path, f"{TRIES} times: {_why(done)}")


def copy(source: Disk, target: Disk) -> None:
    """Copy what a guest sees of `source` onto the disk `target`, which is formatted already.

    Raises:
        StorageError: It failed, as on a full disk.
        PrerequisiteError: There is no qemu-img.
    """
    keys: dict[str, bytes] = {}
    images = [image_options(source, keys), "--target-image-opts", image_options(target, keys)]
    done = _run(["convert", "-n", "--image-opts"], images, keys)
    if done.returncode != 0:
        raise _failed("the image cannot be copied", target.path, _why(done))


def plain(source: Disk, target: Path) -> None:
    """Write what a guest sees of `source` into the new file `target`, raw and not encrypted.

    Raises:
        StorageError: It failed, as on a full disk.
        PrerequisiteError: There is no qemu-img.
    """
    keys: dict[str, bytes] = {}
    done = _run(["convert", "-O", "raw", "--image-opts"], [image_options(source, keys), str(target)], keys)
    if done.returncode != 0:
        raise _failed("the image cannot be unpacked", target, _why(done))


def equal(one: Disk, other: Disk) -> bool:
    """Whether a guest sees the same on both.

    Raises:
        StorageError: One cannot be read.
        PrerequisiteError: There is no qemu-img.
    """
    keys: dict[str, bytes] = {}
    images = [image_options(one, keys), image_options(other, keys)]
    done = _run(["compare", "-q", "--image-opts"], images, keys)
    if done.returncode > 1 or done.returncode < 0:
        raise _failed("the images cannot be compared", other.path, _why(done))
    return done.returncode == 0


@contextmanager
def secret_objects(keys: Mapping[str, bytes]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Arguments that name the keys, and the descriptors that a program inherits with them."""
    descriptors: list[int] = []
    arguments: list[str] = []
    try:
        for name, key in keys.items():
            descriptor = os.memfd_create(name)
            descriptors.append(descriptor)
            os.write(descriptor, key)
            arguments += ["--object", f"secret,id={name},file=/proc/self/fd/{descriptor}"]
        yield arguments, tuple(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def image_options(disk: Disk, keys: dict[str, bytes], prefix: str = "") -> str:
    """A disk as QEMU's programs take it after ``--image-opts``; its keys are put into `keys` by name."""
    file = str(disk.path).replace(",", ",,")
    parts = [f"{prefix}driver={disk.format}", f"{prefix}file.driver=file", f"{prefix}file.filename={file}"]
    if disk.key is not None:
        name = f"key{len(keys)}"
        keys[name] = disk.key
        parts.append(f"{prefix}encrypt.key-secret={name}")
    if disk.backing is not None:
        parts.append(image_options(disk.backing, keys, f"{prefix}backing."))
    return ",".join(parts)


def _run(
    argv: Sequence[str], images: Sequence[str], keys: Mapping[str, bytes]
) -> subprocess.CompletedProcess[str]:
    verb, *options = argv
    with secret_objects(keys) as (objects, descriptors):
        try:
            return subprocess.run(
                ["qemu-img", verb, *objects, *options, *images],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_LIMIT_S,
                pass_fds=descriptors,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise PrerequisiteError(
                "there is no qemu-img on this machine",
                why="it encrypts master images and disks",
                remedy="install the package qemu-utils",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise StorageError(f"qemu-img {verb} did not end within {_LIMIT_S:.0f} s", retry=True) from error


def _why(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stderr.strip()[-500:]
    return legible(said or f"qemu-img ended with status {done.returncode}")


def _failed(what: str, place: Path, why: str) -> StorageError:
    return StorageError(
        what,
        where=legible(str(place)),
        why=why,
        remedy="look whether the disk is full (`df`); run the command again when the machine is less busy",
        retry=True,
    )
