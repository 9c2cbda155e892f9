"""Lines that a command prints between a tool's own: when the tool started, which file follows, how it ended.

Lines ``== NAME REST`` separate the tool's files from the text of generators that write files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from harness.workloads.contract import GENERATOR, Line

MARK = re.compile(r"== (?P<name>[A-Za-z0-9][\w.-]{0,99})(?: (?P<rest>.*))?", re.ASCII)
LIMIT_BYTES = 4_000_000
"""No result file worth reading is larger; the rest of a larger one stays on the client."""

STARTED = "== started"
"""Shell: the client's wall clock right before the tool is started, seconds since 1970."""

ENDED = "== ended"


def started() -> str:
    """Shell that prints the mark of the beginning, with the client's wall clock."""
    return f'echo "{STARTED} $(date +%s.%N)"'


def ended() -> str:
    """Shell that keeps the exit status of the command before it in ``$status`` and prints it."""
    return f'status=$?; echo "{ENDED} $status"'


def shown(name: str, path: str) -> str:
    """Shell that prints the file named by the shell word `path` under its mark, or that it is missing."""
    quoted = shlex.quote(name)
    # The newline keeps the next mark on a line of its own where the file does not end with one.
    show = f"echo == {quoted}; head -c {LIMIT_BYTES} {path}; echo"
    return f"if [ -f {path} ]; then {show}; else echo == missing {quoted}; fi"


def sections(lines: Sequence[Line], source: str = GENERATOR) -> Mapping[str, Sequence[str]]:
    """The generator's lines by the mark that they follow; the tool's own are under ``started``."""
    found: dict[str, list[str]] = {}
    into: list[str] = []
    for line in lines:
        if line.source != source:
            continue
        if (mark := MARK.fullmatch(line.text.rstrip())) is None:
            into.append(line.text)
            continue
        # A name that comes twice is of two runs or of torn output: the first stands.
        into = [] if mark["name"] in found else found.setdefault(mark["name"], [])
    return found


def last_words(texts: Iterable[str]) -> str:
    """The last three lines that say anything, marks left out, each of bounded length."""
    said = [text.strip()[:200] for text in texts if text.strip() and not MARK.fullmatch(text.rstrip())]
    return " | ".join(said[-3:]) or "nothing"


def rest_of(lines: Sequence[Line], name: str, source: str = GENERATOR) -> tuple[int, str] | None:
    """When the first mark `name` arrived, and the text after its name; None without such a mark."""
    for line in lines:
        if line.source == source and (mark := MARK.fullmatch(line.text.rstrip())) and mark["name"] == name:
            return line.t_ns, mark["rest"] or ""
    return None
