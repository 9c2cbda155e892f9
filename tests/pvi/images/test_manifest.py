"""A guest that runs a master image is judged by the files that the image's manifest lists."""

from __future__ import annotations

import hashlib

import pytest

from harness.attest.played.logs import Line
from harness.attest.played.platform import Platform, judged, platform, policy, require
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import Reason
from harness.attest.reference.values import merge
from harness.pvi.images.manifest import Manifest

SERVER = b"the server of the image"


def _manifest(**files: bytes) -> Manifest:
    listed = {f"/usr/bin/{name}": f"sha256:{hashlib.sha256(one).hexdigest()}" for name, one in files.items()}
    digest = "0" * 64
    return Manifest(
        name="web",
        number=1,
        imported_ns=1,
        source=digest,
        disk=digest,
        disk_bytes=1,
        size_bytes=1,
        packages={},
        files=listed,
    )


@pytest.fixture(scope="module")
def guest() -> Platform:
    """A guest that has booted."""
    return platform(SoftwareTpm("ecc-p256"))


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        (b"/usr/bin/server", SERVER, Reason.ACCEPTED),
        (b"/usr/bin/server", SERVER + b"!", Reason.IMA_FILE_CHANGED),
        (b"/usr/bin/other", SERVER, Reason.IMA_FILE_UNKNOWN),
    ],
)
def test_a_guest_runs_the_files_of_its_image_alone(
    guest: Platform, path: bytes, content: bytes, reason: Reason
) -> None:
    image = _manifest(server=SERVER).reference()
    assert image is not None
    running = guest.measured(Line(path=path, content=content))
    known = merge(guest.reference, image)
    found = judged(
        running, reference=known, policy=policy(require=require("ignore", "ignore", "check").model_dump())
    )
    assert found.result.reason is reason


def test_an_image_without_a_list_has_no_reference_values() -> None:
    made = _manifest().model_copy(update={"files": None, "why": "no file system"})
    assert made.reference() is None
