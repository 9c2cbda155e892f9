"""A factory with one master image, made once: a small ext4 file system with a canary in it."""

from __future__ import annotations

import copy
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clock import MonotonicClock
from harness.pvi.factory import factory as factories
from harness.pvi.factory import locked_key
from harness.pvi.images import masters
from harness.pvi.images.manifest import Manifest
from harness.pvi.images.qemu_img import Formatted
from tests.pvi.factory.places import CHEAP, HERE, NOW_NS, PASSPHRASE, Log, Place

CANARY = b"a canary of the master image, which a guest reads and a disk must not show"
STATUS = """Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2
Description: a shell
 Status: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


@dataclass(frozen=True)
class Imported:
    """A factory after its first import, and what was imported."""

    place: Place
    source: Path
    manifest: Manifest
    formatted: Formatted


def file_system(folder: Path) -> Path:
    """A raw image of 16 MiB."""
    root = folder / "root"
    for name, content in (
        ("usr/bin/server", CANARY),
        ("etc/empty", b""),
        ("var/lib/dpkg/status", STATUS.encode()),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "usr/bin/link").symlink_to("server")
    (root / "usr/bin/server").chmod(0o4755)
    image = folder / "a,strange=name.raw"
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-d", root, image], check=True, timeout=60)
    return image


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """The factory that every test of this folder copies."""
    folder = tmp_path_factory.mktemp("images")
    place = Place(folder / "pvi", Log())
    source = file_system(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked_key, "COST", CHEAP)
        factories.make(place.folder, "shop", PASSPHRASE, HERE, place.log, NOW_NS)
        with place.open() as factory:
            made, formatted = masters.take_in(factory, "web", source, None, MonotonicClock())
    return Imported(place, source, made, formatted)


@pytest.fixture
def imported(first: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    """A copy of the test's own."""
    monkeypatch.setattr(locked_key, "COST", CHEAP)
    shutil.copytree(first.place.folder, tmp_path / "pvi")
    own = Place(tmp_path / "pvi", copy.deepcopy(first.place.log))
    return Imported(own, first.source, first.manifest, first.formatted)
