"""`sodbench pvi sla check` on a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import AgreementBrokenError, InputFileError
from harness.registry.errors import RegistryError
from tests.cli.command import Sodbench
from tests.pvi.test_sla import FILE


@pytest.fixture
def agreement(tmp_path: Path) -> Path:
    path = tmp_path / "sla.yml"
    path.write_text(FILE)
    return path


@pytest.mark.usefixtures("rack")
def test_promises_are_held_against_the_registry(sodbench: Sodbench, agreement: Path) -> None:
    said = sodbench("pvi", "sla", "check", agreement)
    assert said.code == AgreementBrokenError.exit_code
    assert "architecture_type" in said.out
    assert said.line("a")[-1] == "unknown"  # a monitor that simulates its hardware states no property
    agreement.write_text(
        FILE.replace("  properties: {architecture_type: HyperWall}\n", "").replace(
            "  probes_per_hour: 2\n", ""
        )
    )
    said = sodbench("pvi", "sla", "check", agreement)
    assert (said.code, said.err) == (0, "")
    assert [line.split()[-1] for line in said.out.splitlines()[1:]] == ["kept"] * 4
    agreement.write_text(FILE.replace("evidence_age_s: 600", "evidence_age_s: 901"))
    found = sodbench("pvi", "sla", "check", agreement, "--json").value["findings"]
    assert found[0]["about"] == "the agreement"
    assert found[0]["kept"] == "broken"


@pytest.mark.usefixtures("rack")
def test_real_properties_count(sodbench: Sodbench, agreement: Path) -> None:
    agreement.write_text(FILE.replace("[a, b]", "[c]").replace("HyperWall", "DataSafe"))
    found = sodbench("pvi", "sla", "check", agreement, "--json").value["findings"]
    (stated,) = [one for one in found if one["promise"] == "properties.architecture_type"]
    assert stated["kept"] == "kept"


def test_a_wrong_file_and_a_missing_registry_are_refused(
    sodbench: Sodbench, agreement: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SODBENCH_REGISTRY", f"sqlite:///{tmp_path}/none.sqlite")
    assert sodbench("pvi", "sla", "check", agreement).code == RegistryError.exit_code
    agreement.write_text("version: 1")
    said = sodbench("pvi", "sla", "check", agreement)
    assert said.code == InputFileError.exit_code
    assert "nothing was checked" in said.err
