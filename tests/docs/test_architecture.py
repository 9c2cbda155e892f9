"""The house in the document is the house in the clone, and the linter sees an import that points up."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text()
ROOMS = DOCUMENT.split("## The rooms")[1].split("## ")[0]
LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", ROOMS))))
def test_every_module_that_the_document_names_is_there(name: str) -> None:
    assert any(path.as_posix().endswith(f"/{name}") for path in (ROOT / "harness").rglob("*.py"))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+)/`", ROOMS))))
def test_every_folder_that_the_document_names_is_there(name: str) -> None:
    assert (ROOT / "harness" / name).is_dir() or (ROOT / name).is_dir()


@pytest.mark.parametrize(
    "room", sorted(path.name for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file())
)
def test_every_room_has_its_row(room: str) -> None:
    assert f"| `{room}/` |" in ROOMS


def test_the_documents_it_points_to_are_there() -> None:
    targets = re.findall(r"\]\(([^)#]+\.md)\)", DOCUMENT)
    assert targets
    assert all((ROOT / "docs" / target).is_file() for target in targets)


def test_it_fits_on_a_few_screens() -> None:
    assert len(DOCUMENT.splitlines()) <= 200


DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))


@pytest.mark.parametrize("decision", DECISIONS, ids=[path.stem for path in DECISIONS])
def test_a_decision_is_short_and_numbered(decision: Path) -> None:
    text = decision.read_text()
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+", decision.stem)
    assert text.startswith(f"# {decision.stem[:4]} ")
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) <= 15


def test_no_two_decisions_have_one_number() -> None:
    numbers = [decision.stem[:4] for decision in DECISIONS]
    assert sorted(set(numbers)) == numbers


def test_what_a_decision_names_is_there() -> None:
    named = {
        (decision.stem, path)
        for decision in DECISIONS
        for path in re.findall(r"`((?:\w+/)+[\w.]*)`", decision.read_text())
    }
    assert len(named) > 20
    there = {one for one in named for top in (ROOT, ROOT / "harness") if (top / one[1]).exists()}
    assert named - there == set()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("clock.py", "from harness.evidence import journal"),
        ("rig/pair.py", "from harness.evidence import journal"),
        ("attest/reasons.py", "from harness.registry import values"),
        ("evidence/seal.py", "from harness.rig import pair"),
        ("migration/window.py", "import libvirt"),
        ("policy/packages.py", "import pydantic"),
        ("report/compose.py", "import libvirt"),
        ("unknown/__init__.py", ""),
    ],
)
def test_the_linter_sees_an_import_that_must_not_be(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / "harness" / module
    changed.parent.mkdir(exist_ok=True)
    before = changed.read_text() if changed.exists() else '"""A room that no floor names."""\n'
    changed.write_text(f"{before}\n{line}\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [LINTER, "--no-cache"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
