"""The bill of materials names all that is pinned and installed, and is one by CycloneDX's own schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from supply import sbom

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return sbom.bill()


def _pins(file: Path) -> set[str]:
    found = re.findall(r"^([\w.-]+)==([^ ;\\]+)", file.read_text(), flags=re.MULTILINE)
    assert len(found) > 10
    return {f"pkg:pypi/{name}@{version}" for name, version in found}


def _purls(made: dict[str, Any], place: str) -> set[str]:
    return {
        one["purl"]
        for one in made["components"]
        if {"name": "sodbench:installed-on", "value": place} in one["properties"]
    }


def test_it_holds_by_the_strict_schema(made: dict[str, Any]) -> None:
    assert sbom.validate(json.dumps(made)) == ""
    assert made["bomFormat"] == "CycloneDX"


def test_what_is_no_bill_does_not_hold(made: dict[str, Any]) -> None:
    broken = {**made, "components": [{"name": "without a type"}]}
    assert "type" in sbom.validate(json.dumps(broken))


@pytest.mark.parametrize(
    ("place", "file"), [("controller", sbom.ROOT / "requirements.lock"), ("client", sbom.LOCUST)]
)
def test_every_pinned_package_is_in_it_with_its_hashes(made: dict[str, Any], place: str, file: Path) -> None:
    pinned = {one for one in _purls(made, place) if one.startswith("pkg:pypi/")}
    assert pinned == _pins(file)
    for one in made["components"]:
        if one["purl"].startswith("pkg:pypi/"):
            assert one["externalReferences"][0]["hashes"], one["name"]


@pytest.mark.parametrize(
    ("place", "package"),
    [
        ("machines: host", "qemu-system-x86"),
        ("machines: tpm", "tpm2-tools"),
        ("guest image", "mariadb-server"),
        ("guest image", "linux-image-cloud-amd64"),
        ("small guest image", "busybox-static"),
    ],
)
def test_debians_packages_stand_with_the_machines_that_get_them(
    made: dict[str, Any], place: str, package: str
) -> None:
    assert f"pkg:deb/debian/{package}" in _purls(made, place)


def test_every_component_is_one_of_the_projects_dependencies(made: dict[str, Any]) -> None:
    references = [one["bom-ref"] for one in made["components"]]
    assert len(set(references)) == len(references)
    assert made["dependencies"][0]["dependsOn"] == references


def test_the_same_files_give_the_same_bill(made: dict[str, Any]) -> None:
    assert sbom.bill() == made


def test_nothing_is_written_that_is_no_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "_debian", lambda: iter([{"name": "x", "purl": "x", "bom-ref": "x"}]))
    with pytest.raises(SystemExit, match="no bill of materials"):
        sbom.main(tmp_path / "bill.json")
    assert not (tmp_path / "bill.json").exists()
