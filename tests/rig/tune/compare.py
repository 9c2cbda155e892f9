"""Compares every value of trees with their snapshot: ``compare.py SNAPSHOT TREE ...``, 0 where all are equal.

It shares nothing with the program that tunes. A list of choices is the choice in brackets, as the kernel
would write the list again. Boot ids are not compared, and a restore file that is left is a difference.
"""

from __future__ import annotations

import sys
from pathlib import Path


def values(tree: Path) -> dict[str, str]:
    """Each file's value by its path."""
    found = {}
    for file in tree.rglob("*"):
        name = file.relative_to(tree).as_posix()
        if file.is_file() and not name.endswith("boot_id") and name != "keep/lock":
            text = file.read_text().strip()
            if "[" in text and name.startswith("sys/kernel/mm/"):
                text = text.split("[")[1].split("]")[0]
            found[name] = text
    return found


def main() -> int:
    snapshot, *trees = map(Path, sys.argv[1:])
    expected, differing = values(snapshot), 0
    for tree in trees:
        found = values(tree)
        for name in sorted({*expected, *found}):
            if expected.get(name) != found.get(name):
                differing += 1
                print(f"{tree}: {name}: {expected.get(name)!r} is {found.get(name)!r}")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
