"""Files that a run by ``-m`` does not import: those that cannot hold a test it asks for, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import selection

UNIT = "not programs and not long and not lab"
PROGRAMS = "(programs or long) and not lab"
ROOT = Path(__file__).parents[1]
WHOLE = "import pytest\n\npytestmark = pytest.mark.{}\n"
ONE = "import pytest\n\n@pytest.mark.{}\ndef test_it(): pass\n"


def held(folder: Path, text: str) -> list[str]:
    """Those of the three runs that import a file of this text."""
    file = folder / "test_made_up.py"
    file.write_text(text)
    return [run for run in (UNIT, PROGRAMS, "lab") if selection.can_hold(file, run)]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("def test_it(): pass\n", [UNIT]),
        (WHOLE.format("programs"), [PROGRAMS]),
        (WHOLE.format("long"), [PROGRAMS]),
        (WHOLE.format("lab"), ["lab"]),
        (ONE.format("programs"), [UNIT, PROGRAMS]),
        (ONE.format("lab"), [UNIT, "lab"]),
        (WHOLE.format("programs") + ONE.format("lab"), [PROGRAMS, "lab"]),
        (WHOLE.format("parametrize"), [UNIT]),
        ("from tests import budgets\n", [UNIT, PROGRAMS]),
        ("from tests.registry import audited, postgres\n", [UNIT, PROGRAMS]),
        ("from tests.registry.postgres import DATABASES\n", [UNIT, PROGRAMS]),
    ],
)
def test_a_file_is_imported_by_the_runs_that_its_text_allows(
    tmp_path: Path, text: str, runs: list[str]
) -> None:
    assert held(tmp_path, text) == runs


def test_a_conftest_above_it_can_mark_a_files_tests() -> None:
    assert selection.can_hold(ROOT / "tests/registry/test_made_up.py", PROGRAMS)
    assert not selection.can_hold(ROOT / "tests/policy/test_made_up.py", PROGRAMS)


@pytest.mark.parametrize("wanted", ["", "not programs and anything", "anything(of=1)"])
def test_what_this_does_not_know_leaves_no_file_out(tmp_path: Path, wanted: str) -> None:
    file = tmp_path / "test_made_up.py"
    file.write_text(WHOLE.format("programs"))
    assert selection.can_hold(file, wanted)


def test_every_file_is_imported_by_a_run() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py")]
    assert len(files) > 300
    assert all(any(selection.can_hold(one, run) for run in (UNIT, PROGRAMS, "lab")) for one in files)


def test_a_test_whose_mark_its_file_does_not_tell_ends_the_run(request: pytest.FixtureRequest) -> None:
    selection.check([request.node])
    request.node.add_marker("long")
    with pytest.raises(pytest.UsageError, match=r"is marked \['long'\].*all its tests and \[\] of some"):
        selection.check([request.node])
