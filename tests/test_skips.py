"""What is skipped: only what a machine cannot have, and any other skip is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import skips

ROOT = Path(__file__).resolve().parents[1]
XFAIL = "@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n"
BAD = {
    "in the test": "def test_it():\n    pytest.skip('no such program')\n",
    "in a fixture": "@pytest.fixture\ndef it():\n    pytest.skip('no such program')\ndef test_it(it): pass\n",
    "by a mark": "@pytest.mark.skipif(True, reason='no such program')\ndef test_it():\n    pass\n",
    "of a file": "pytest.skip('no such program', allow_module_level=True)\n",
    "of an import": "pytest.importorskip('no_such_module')\n",
}
GOOD = {
    **{reason: f"def test_it():\n    pytest.skip({reason!r})\n" for reason in skips.ALLOWED},
    "known": XFAIL,
}


@dataclass(frozen=True)
class Ended:
    """How pytest ended over some files, and what became of each: ``failure``, ``error`` or ``skipped``."""

    status: int
    outcomes: Mapping[str, tuple[str, str]]


def run(folder: Path, files: Mapping[str, str]) -> Ended:
    """pytest over a file for each of `files`, with the project's own conftest.py as its only plugin."""
    names = {f"test_made_up_{n}": name for n, name in enumerate(files)}
    for file, name in names.items():
        (folder / f"{file}.py").write_text(f"import pytest\nfrom tests import skips\n{files[name]}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", ".", "-q",
         "--continue-on-collection-errors", "--junit-xml", "ended.xml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert (folder / "ended.xml").exists(), done.stdout + done.stderr
    cases = ElementTree.parse(folder / "ended.xml").iter("testcase")
    told = {(case.get("classname") or case.get("name") or ""): case for case in cases}
    return Ended(done.returncode, {names[file]: (told[file][0].tag, _text(told[file][0])) for file in told})


def _text(outcome: ElementTree.Element) -> str:
    return f"{outcome.get('type', '')} {outcome.get('message', '')} {outcome.text or ''}"


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("bad"), BAD)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("good"), GOOD)


@pytest.mark.parametrize("how", BAD)
def test_a_skip_for_another_reason_fails_the_run(how: str, bad: Ended) -> None:
    assert bad.status == 1
    tag, text = bad.outcomes[how]
    assert tag in {"failure", "error"}  # an error: of a fixture, or a file that was not collected
    assert "skipped, which fails here: " in text
    assert "no such program" in text or "no_such_module" in text
    assert "make setup" in text


@pytest.mark.parametrize("reason", skips.ALLOWED)
def test_a_skip_for_a_reason_of_the_list_is_one(reason: str, good: Ended) -> None:
    assert good.status == 0
    tag, text = good.outcomes[reason]
    assert (tag, "pytest.skip" in text) == ("skipped", True)
    assert reason in text


def test_a_known_failure_is_no_skip(good: Ended) -> None:
    assert good.status == 0
    tag, text = good.outcomes["known"]
    assert (tag, "pytest.xfail" in text) == ("skipped", True)
