"""What a master image is: the signed file next to its disk, and the check that every use begins with."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationError

from harness import sums
from harness.attest.evidence import Count
from harness.attest.reference.policy import FileDigest, ImaReference, ReferenceValues
from harness.errors import AlteredError, InputFileError
from harness.evidence import signature
from harness.evidence.signature import Kind
from harness.files import write_json
from harness.legible import legible
from harness.pvi.factory import signer
from harness.sentence import sentence
from harness.strict import Strict

FILE, DISK, KEY = "manifest.json", "disk.qcow2", "key.json"
KIND = Kind("master-image", remedy="import the image again: sodbench pvi image import")
MAX_BYTES = 64 * 2**20
"""Of a manifest: some 400,000 files."""

ImageName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Strict):
    """What a master image is.

    Attributes:
        version: Of this form.
        name: The image's.
        number: Which version of the image it is; the first is 1.
        imported_ns: When it was imported, ns since 1970-01-01 UTC by the factory's clock.
        source: SHA-256 of the file that was imported, in hexadecimal.
        disk: SHA-256 of the encrypted disk.
        disk_bytes: The length of that file.
        size_bytes: How much a guest sees.
        packages: See :class:`harness.pvi.images.listing.Listing`, as for the next two.
        files: Path to digest.
        why: Why one of the two is null.
    """

    version: Literal[1] = 1
    name: ImageName
    number: Annotated[int, Field(ge=1, le=1_000_000)]
    imported_ns: Count
    source: Sha256
    disk: Sha256
    disk_bytes: Count
    size_bytes: Count
    packages: dict[str, str] | None
    files: dict[str, FileDigest] | None
    why: str = ""

    def reference(self) -> ReferenceValues | None:
        """Reference values that accept each file with its content in the image; None without a list."""
        if self.files is None:
            return None
        return ReferenceValues(
            version=1, ima=ImaReference(files={path: (digest,) for path, digest in self.files.items()})
        )


def write(folder: Path, manifest: Manifest, key: ec.EllipticCurvePrivateKey) -> str:
    """Write the manifest into `folder` and sign it there; its SHA-256 in hexadecimal.

    Raises:
        InputFileError: The manifest has more than :data:`MAX_BYTES`.
        StorageError: They cannot be written.
    """
    write_json(folder / FILE, manifest.model_dump(mode="json"))
    if (folder / FILE).stat().st_size > MAX_BYTES:  # it could not be read back
        raise InputFileError(
            "the image has too many files",
            where=manifest.name,
            why=f"its manifest has more than {MAX_BYTES} bytes",
            remedy="import an image with fewer files, or with shorter paths",
        )
    signature.sign(folder, [FILE], key, kind=KIND)
    return sums.digest(folder / FILE)


def read(folder: Path, trusted: Path, *, now: datetime) -> Manifest:
    """The manifest in `folder`, if a factory signed it whose folder ``trust`` is `trusted`.

    Raises:
        AlteredError: It is not signed, or not as it was signed.
        CertificateRefusedError: Who signed it is not one of the factory's signing keys that count.
        RecordError: It cannot be read.
    """
    known = signer.find(trusted, signature.hint(folder, kind=KIND))
    signature.verify(folder, [FILE], known.key, kind=KIND)
    place = folder / FILE
    try:
        found = Manifest.model_validate(json.loads(sums.content(place, limit=MAX_BYTES)))
    except (ValidationError, ValueError, RecursionError) as error:
        why = sentence(error) if isinstance(error, ValidationError) else str(error)
        raise altered(place, "it is no manifest of an image", why) from error
    signer.require(known, trusted, signed_ns=found.imported_ns, now=now)
    return found


def check(folder: Path, trusted: Path, *, now: datetime) -> Manifest:
    """The manifest in `folder`, once manifest and disk there are what the factory signed.

    Raises:
        AlteredError: One of them is not; and see :func:`read`.
    """
    found = read(folder, trusted, now=now)
    place = folder / DISK
    if (own := sums.digest(place)) != found.disk:
        raise altered(place, "the image is not the one that was imported", f"its SHA-256 is {own}")
    return found


def altered(place: Path, what: str, why: str) -> AlteredError:
    """The error for an image that is not what it was."""
    return AlteredError(what, where=legible(str(place)), why=legible(why), remedy=KIND.remedy)
