"""Runs the tests of tests/regressions.md against the code of an older commit, where each of them must fail.

``python -m tests.regressions BASE TESTS`` takes the code, playbooks and policies of the commit BASE and the
tests of the commit TESTS, runs each listed test there, and writes what happened into the table. A test that
passes on BASE shows nothing, so the exit code is 1. A test whose interface BASE does not have cannot run
there; the table says so.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests/regressions.md"
HEAD = "| what | test | on the older commit |\n|---|---|---|\n"
LIMIT_S = 900
INTERFACE = re.compile(
    r"ImportError|ModuleNotFoundError|AttributeError|unexpected keyword argument|fixture '.*' not found"
    r"|missing \d+ required|takes \d+ positional|No such option|NameError"
)
"""What an interface that is not there looks like in a test's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was wrong, the test that shows it, and what it does on the older commit."""

    what: str
    test: str
    outcome: str = ""

    def text(self) -> str:
        """The row in Markdown."""
        return f"| {self.what} | `{self.test}` | {self.outcome} |\n"


def rows(text: str) -> list[Row]:
    """The rows of the table."""
    found = re.findall(r"^\| (.+?) \| `([^`|]+)` \|(?: ([^|]*?) ?\|)?$", text, re.MULTILINE)
    return [Row(what=what, test=test, outcome=outcome.strip()) for what, test, outcome in found]


def unpack(commit: str, folder: Path, paths: Sequence[str] = ()) -> None:
    """The files of `commit` below `paths`, or all of them, in `folder`."""
    done = subprocess.run(["git", "archive", commit, *paths], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder)


def outcomes(tree: Path, tests: Iterable[str]) -> dict[str, str]:
    """What each test of one file does in `tree`, by its id."""
    wanted = list(tests)
    report = tree / "junit.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junit-xml={report}",
        *wanted,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    report.unlink(missing_ok=True)
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    return {test: _outcome(test, cases, done.stdout) for test in wanted}


def _outcome(test: str, cases: Sequence[ET.Element], output: str) -> str:
    name = test.rpartition("::")[2]
    own = [case for case in cases if re.sub(r"\[.*", "", case.get("name", "")) == re.sub(r"\[.*", "", name)]
    bad = [found for case in own for found in (*case.iter("failure"), *case.iter("error"))]
    if not own:
        return "cannot run: its file needs an interface that is not there"
    if not bad:
        return "skipped" if any(case.find("skipped") is not None for case in own) else "PASSES"
    said = "\n".join(found.get("message") or "" for found in bad)
    if INTERFACE.search(said) or "error" in {found.tag for found in bad}:
        return f"cannot run: {_short(said)}"
    return "fails"


def _short(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line.strip().replace("|", "/").replace("`", "'")[:90]


def main() -> int:
    """Run every listed test and write the table again; 1 where one passes on the older commit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", help="the older commit, whose code is tested")
    parser.add_argument("tests", help="the commit whose tests are run")
    asked = parser.parse_args()
    text = TABLE.read_text(encoding="utf-8")
    known = rows(text)
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="regressions-") as folder:
        tree = Path(folder)
        unpack(asked.base, tree)
        subprocess.run(["rm", "-rf", str(tree / "tests")], check=True)
        unpack(asked.tests, tree, ["tests", "conftest.py"])
        for file in sorted({row.test.partition("::")[0] for row in known}):
            listed = [row.test for row in known if row.test.partition("::")[0] == file]
            found |= outcomes(tree, listed)
            print(file, *(f"  {found[test]:10.60} {test}" for test in listed), sep="\n", flush=True)
    done = [replace(row, outcome=found[row.test]) for row in known]
    intro = text.partition("| what |")[0]
    TABLE.write_text(intro + HEAD + "".join(row.text() for row in done), encoding="utf-8")
    passing = [row.test for row in done if row.outcome == "PASSES"]
    print(f"{len(done)} tests: {sum(row.outcome == 'fails' for row in done)} fail, {len(passing)} pass")
    return 1 if passing else 0


if __name__ == "__main__":
    sys.exit(main())
