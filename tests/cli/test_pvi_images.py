"""`sodbench pvi image`: import, verify, list, pool and disk, as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.attest.reference.files import load_reference
from harness.errors import AlteredError, UsageError
from tests.cli.command import Pvi
from tests.pvi.factory.places import VM
from tests.pvi.images.conftest import file_system

pytestmark = pytest.mark.programs


def test_an_image_is_imported_verified_and_given_to_a_guest(pvi: Pvi, tmp_path: Path) -> None:
    assert pvi.owner("init", "shop").code == 0
    source = file_system(tmp_path / "source")
    said = pvi.owner("image", "import", "web", source)
    assert said.code == 0, said.err
    assert "web, version 1: 0.0 GiB, 3 files, 1 package." in said.out
    assert "Formatting took" in said.out
    own = ("--folder", pvi.folder)
    assert pvi("image", "list", *own).line("web")[1] == "1"
    reference = tmp_path / "reference.yml"
    said = pvi("image", "verify", "web", "--reference", reference, *own)
    assert said.code == 0, said.err
    assert "/usr/bin/server" in load_reference(reference).ima.files
    said = pvi.owner("image", "pool", "web", "--size", "1")
    assert said.code == 0, said.err
    assert "has 1 disk." in said.out
    said = pvi.owner("image", "disk", "web", VM)
    assert said.code == 0, said.err
    assert "It came from the pool" in said.out
    assert pvi.owner("image", "disk", "web", VM).code == UsageError.exit_code
    for wrong in ("Web", "../web", ""):
        assert pvi.owner("image", "import", wrong, source).code == UsageError.exit_code
    (pvi.folder / "images/web/1/disk.qcow2").write_bytes(b"another")
    assert pvi("image", "verify", "web", *own).code == AlteredError.exit_code


def test_an_image_without_a_file_system_has_no_reference_values(pvi: Pvi, tmp_path: Path) -> None:
    assert pvi.owner("init", "shop").code == 0
    (tmp_path / "image").write_bytes(bytes(2**20))
    said = pvi.owner("image", "import", "bare", tmp_path / "image")
    assert said.code == 0, said.err
    assert "its files are not listed: the image has no ext file system" in said.out
    own = ("--folder", pvi.folder)
    said = pvi("image", "verify", "bare", "--reference", tmp_path / "reference", *own)
    assert said.code == UsageError.exit_code
    assert not (tmp_path / "reference").exists()
