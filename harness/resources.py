"""Where the project's data lies: playbooks, campaigns, templates and the papers' tables.

A clone keeps them in folders at its root; a wheel carries them with the code. Everything else asks here and
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


def chosen(asked: str, ready: Path) -> Path | None:
    """The file that a person means by `asked`: their own, or the ready-made one of that name in `ready`.

    What is written as a path, with a slash or a suffix, is a path and nothing else: a ready-made file never
    stands in for one that is not there. A file whose path is the name alone goes before the ready-made one.

    Returns:
        The file, or None where there is none.
    """
    own = Path(asked)
    if own.is_file():
        return own
    file = ready / f"{asked}.yml"
    return file if asked and not {"/", "."} & set(asked) and file.is_file() else None


def unmet(asked: str, ready: Path) -> str:
    """What to do where :func:`chosen` finds nothing: the ready-made names, and which of them may be meant."""
    names = sorted(path.stem for path in ready.glob("*.yml"))
    stem = Path(asked).name.removesuffix(".yml")
    meant = f"name it without a path for the ready-made one: {stem}; " if stem in names else ""
    return f"{meant}ready-made ones: {', '.join(names)}"


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


def claims() -> Path:
    """The papers' claims."""
    return locate("reports/claims")
