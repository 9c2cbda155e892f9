"""What is skipped: only what a machine cannot have, and any other skip is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
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


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """pytest over a file with `text`, with the project's own conftest.py as its only plugin."""
    (folder / "test_made_up.py").write_text(f"import pytest\nfrom tests import skips\n{text}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", ".", "-q"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_skip_for_another_reason_fails_the_run(text: str, tmp_path: Path) -> None:
    done = run(tmp_path, text)
    assert done.returncode in {1, 2}, done.stdout  # 2: a file that was not collected
    assert "skipped, which fails here: " in done.stdout
    assert "no such program" in done.stdout or "no_such_module" in done.stdout
    assert "make setup" in done.stdout


@pytest.mark.parametrize("reason", skips.ALLOWED)
def test_a_skip_for_a_reason_of_the_list_is_one(reason: str, tmp_path: Path) -> None:
    done = run(tmp_path, f"def test_it():\n    pytest.skip({reason!r})\n")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout


def test_a_known_failure_is_no_skip(tmp_path: Path) -> None:
    done = run(tmp_path, XFAIL)
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
