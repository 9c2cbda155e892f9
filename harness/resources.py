"""Where the project's data lies: playbooks, campaigns, templates and the papers' tables.

A clone keeps them in folders at its root; a wheel carries them beside the code. Everything else asks here and
never builds such a path itself, so that the installed tool works outside a clone. Nothing here reads a file.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import PrerequisiteError

_CODE = Path(__file__).resolve().parent


def locate(name: str, code: Path = _CODE) -> Path:
    """The folder called `name` (such as ``results/reference``) of a wheel, or else of a clone.

    Args:
        name: Path from the clone's root.
        code: The folder of the import package.

    Raises:
        PrerequisiteError: Neither a wheel's nor a clone's folder is there.
    """
    candidates = (code / "_data" / name, code.parent / name)
    for path in candidates:
        if path.is_dir():
            return path
    raise PrerequisiteError(
        f"the folder {name} is missing",
        where=str(code),
        why="neither " + " nor ".join(str(path) for path in candidates) + " is a folder",
        remedy="install sodbench again from a wheel, or run it from a whole clone",
    )


def playbooks() -> Path:
    """The Ansible playbooks, roles and inventories."""
    return locate("playbooks")


def campaigns() -> Path:
    """The ready-made campaigns."""
    return locate("campaigns")


def templates() -> Path:
    """The report's Jinja2 templates and style."""
    return locate("reports/templates")


def reference() -> Path:
    """The papers' tables as CSV."""
    return locate("results/reference")
