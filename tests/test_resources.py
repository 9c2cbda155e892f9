from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import resources
from harness.errors import PrerequisiteError


def test_a_clone_keeps_its_data_beside_the_package(tmp_path: Path) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "results" / "reference").mkdir(parents=True)
    assert resources.locate("results/reference", tmp_path / "harness") == tmp_path / "results" / "reference"


def test_a_wheel_keeps_its_data_within_the_package_and_that_wins(tmp_path: Path) -> None:
    """A folder called playbooks next to an installed package belongs to another project."""
    wheel = tmp_path / "harness" / "_data" / "playbooks"
    wheel.mkdir(parents=True)
    (tmp_path / "playbooks").mkdir()
    assert resources.locate("playbooks", tmp_path / "harness") == wheel


def test_neither_is_an_error_that_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="campaigns is missing") as caught:
        resources.locate("campaigns", tmp_path / "harness")
    assert str(tmp_path / "harness" / "_data" / "campaigns") in caught.value.why
    assert str(tmp_path / "campaigns") in caught.value.why


def test_this_clone_has_templates_and_reference_tables() -> None:
    assert (resources.templates() / "report.html.j2").is_file()
    assert (resources.reference() / "table5_migration.csv").is_file()


def test_whatever_a_module_looks_for_beside_itself_is_there() -> None:
    """Programs for machines and the schema's revisions are found by name; a move must take them along."""
    home = Path(resources.__file__).parent
    looked_for = [
        path.parent / name
        for path in sorted(home.rglob("*.py"))
        for name in re.findall(r'Path\(__file__\)\.with_name\("([^"]+)"\)', path.read_text())
    ]
    assert len(looked_for) >= 8
    assert [str(path.relative_to(home)) for path in looked_for if not path.exists()] == []
