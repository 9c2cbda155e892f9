"""What a person adds to the lab's inventory: checked before a machine is touched, kept until `lab down`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.errors import InputFileError
from harness.rig.lab import base, lab, machine, network
from harness.rig.lab import variables as lab_variables
from harness.rig.lab.lab import Places

CONTENT = b"an archive"
SUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def archives(folder: Path) -> Path:
    """A file of variables in `folder`, with an archive next to it."""
    (folder / "kits").mkdir()
    (folder / "kits/mstone-4.9.4.tar.gz").write_bytes(CONTENT)
    path = folder / "lab.yml"
    path.write_text(
        f'sodbench_mstone_archive: {{source: kits/mstone-4.9.4.tar.gz, checksum: "{SUM}"}}\n'
        "sodbench_faban_archive:\n"
        "  source: https://example.org/faban-kit.tar.gz\n"
        f'  checksum: "{SUM}"\n'
        "  version: '1.6'\n"
        "sodbench_image_extra_packages: [stress-ng]\n"
    )
    return path


def test_a_file_beside_it_is_named_by_its_whole_path_and_a_url_stays(tmp_path: Path) -> None:
    assert lab_variables.read(archives(tmp_path)) == {
        "sodbench_mstone_archive": {
            "source": str(tmp_path / "kits/mstone-4.9.4.tar.gz"),
            "checksum": SUM,
        },
        "sodbench_faban_archive": {
            "source": "https://example.org/faban-kit.tar.gz",
            "checksum": SUM,
            "version": "1.6",
        },
        "sodbench_image_extra_packages": ["stress-ng"],
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sodbench_mstone_archive:\n", "lab.yml:1: sodbench_mstone_archive"),
        ("sodbench_bridge: br9\n", "unknown key"),
        ("sodbench_mstone_archiv: {}\n", "did you mean 'sodbench_mstone_archive'?"),
        ("sodbench_faban_archive: {source: a.tgz}\n", "sodbench_faban_archive.checksum: the key is missing"),
        ("sodbench_faban_archive: {source: a.tgz, checksum: 'md5:00'}\n", "sha256:HEX"),
        ("sodbench_image_size: 4096\n", "lab.yml:1: sodbench_image_size"),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    with pytest.raises(InputFileError) as caught:
        lab_variables.read(path)
    assert named in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file of variables"):
        lab_variables.read(tmp_path / "lab.yml")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A lab whose machines are all up, so that only its inventory is written."""
    found = Places(cache=tmp_path / "cache", state=tmp_path / "state", run=tmp_path / "run")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(base, "base", lambda *_arguments: tmp_path)
    monkeypatch.setattr(lab, "_healthy", lambda _machine: True)
    monkeypatch.setattr(lab, "_await_ssh", lambda _machine: None)
    monkeypatch.setattr(base, "apt_sources", lambda: "deb http://mirror.example/debian bookworm main\n")
    monkeypatch.setattr(machine, "shape", lambda _machine, _bit_s: None)
    monkeypatch.setattr(network, "up", lambda _kept: None)
    return found


def variables(places: Places, given: Path | None = None) -> dict[str, Any]:
    inventory: dict[str, Any] = YAML(typ="safe").load(lab.up(places, given))
    return dict(inventory["all"]["vars"])


def test_the_inventory_names_the_archives_and_goes_on_to_until_the_lab_is_down(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archives(tmp_path)
    first = variables(places, path)
    assert first["sodbench_mstone_archive"]["source"] == str(tmp_path / "kits/mstone-4.9.4.tar.gz")
    assert first["sodbench_rig"] == "lab"
    assert variables(places) == first, "the next `lab up` keeps it"
    path.write_text("{}\n")
    assert "sodbench_mstone_archive" not in variables(places, path)
    assert not places.variables.exists()
    variables(places, archives_again(path))
    monkeypatch.setattr(machine, "stop", lambda _machine: None)
    monkeypatch.setattr(network, "down", lambda _kept: None)
    lab.down(places)
    assert not places.state.exists()
    assert "sodbench_mstone_archive" not in variables(places)


def archives_again(path: Path) -> Path:
    path.write_text(f'sodbench_mstone_archive: {{source: kits/mstone-4.9.4.tar.gz, checksum: "{SUM}"}}\n')
    return path


def test_a_wrong_file_leaves_what_was_kept(tmp_path: Path, places: Places) -> None:
    before = variables(places, archives(tmp_path))
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("sodbench_bridge: br9\n")
    with pytest.raises(InputFileError):
        lab.up(places, wrong)
    assert variables(places) == before
