"""Derive the reference data set's tables and reports again from its evidence, and compare byte for byte.

``python -m tests.reference`` (``make reference``) changes nothing in the data set: it says which files come
out otherwise and ends with 1, or with 0 where all come out the same. ``--accept`` (``make reference
ACCEPT=1``) takes the derived files over, once every data set was derived without an error. The evidence
itself is never written. Other exit codes are the program's own (``harness/errors.py``).
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import report
from harness.analysis import table as results
from harness.errors import AlteredError, SodbenchError
from harness.evidence import archive, seal

DATA = Path(__file__).parent.parent / "results/reference/lab"
ENCLOSED = {"benchmarks": "steps.json", "adversary": "attacks.json", "periodic": "periodic.json"}
"""What a report of a data set is given besides its run: the argument, and the file in ``enclosed``."""
DERIVED = ("run", "report")
"""The folders of a data set that come out of its evidence."""


def enclosed(kept: Path) -> dict[str, Path]:
    """The files that the report of the data set `kept` is given."""
    found = {what: kept / "enclosed" / file for what, file in ENCLOSED.items()}
    return {what: path for what, path in found.items() if path.is_file()}


def derive(kept: Path, made: Path) -> None:
    """Make the run and the report of the data set `kept` in the folder `made`, from the kept evidence alone.

    Raises:
        SodbenchError: The evidence is not what it was, or a step failed.
    """
    with TemporaryDirectory(prefix="sodbench-reference-") as work:
        run = archive.unpack(kept / "run", Path(work) / "run")
        results.write(run)
        seal.keep_derived(run)
        archive.pack(run, made / "run")
        report.build(run, made / "report", ("html", "md"), **enclosed(kept))


def differing(kept: Path, made: Path) -> list[str]:
    """How the files of `kept` differ from those of `made`: a line for each, ``report/report.md: changed``."""
    here, there = _files(kept), _files(made)
    lines = dict.fromkeys(here - there, "missing") | dict.fromkeys(there - here, "added")
    for name in here & there:
        if not filecmp.cmp(kept / name, made / name, shallow=False):
            lines[name] = "changed"
    return [f"{name}: {lines[name]}" for name in sorted(lines)]


def _files(root: Path) -> set[str]:
    return {
        one.relative_to(root).as_posix()
        for part in DERIVED
        for one in (root / part).rglob("*")
        if one.is_file()
    }


def accept(kept: Path, made: Path) -> None:
    """Put what was derived into the place of what is kept; at every moment one of the two is there whole.

    Raises:
        AlteredError: The evidence would change.
    """
    if seal.lists(kept / "run").evidence != seal.lists(made / "run").evidence:
        raise AlteredError("what was derived has other evidence", where=str(kept))
    for part in DERIVED:
        new, old = _beside(kept, part)
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(made / part, new)
        (kept / part).rename(old)
        new.rename(kept / part)
        shutil.rmtree(old)


def restore(kept: Path) -> None:
    """Bring back what an :func:`accept` that was killed had put aside."""
    for part in DERIVED:
        new, old = _beside(kept, part)
        if old.exists() and not (kept / part).exists():
            old.rename(kept / part)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def _beside(kept: Path, part: str) -> tuple[Path, Path]:
    return kept / f".{part}.new", kept / f".{part}.old"


def main(arguments: Sequence[str] | None = None, data: Path = DATA) -> int:
    """Compare, and accept where that is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__)
    parser.add_argument("names", nargs="*", help="data sets; all by default")
    parser.add_argument("--accept", action="store_true", help="take over what differs")
    asked = parser.parse_args(arguments)
    sets = [data / name for name in asked.names] or sorted(one for one in data.iterdir() if one.is_dir())
    try:
        with TemporaryDirectory(prefix="sodbench-reference-") as work:
            for kept in sets:
                restore(kept)
                derive(kept, Path(work) / kept.name)
            differs = {kept: differing(kept, Path(work) / kept.name) for kept in sets}
            for kept, lines in differs.items():
                print("\n".join(f"{kept / line}" for line in lines) or f"{kept}: the same bytes")
                if lines and asked.accept:
                    accept(kept, Path(work) / kept.name)
    except SodbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if not any(differs.values()):
        return 0
    print(
        "accepted"
        if asked.accept
        else "nothing was changed; `make reference ACCEPT=1` takes these files over"
    )
    return 0 if asked.accept else 1


if __name__ == "__main__":
    sys.exit(main())
