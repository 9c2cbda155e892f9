"""What is printed is complete and harmless, whoever wrote it and wherever it goes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import resources
from harness.evidence.folder import RunFolder
from harness.policy.capability_file import load_table
from harness.policy.request import request
from harness.registry.registry import open_registry
from tests.cli.processes import Ended, in_pipe, on_terminal
from tests.cli.test_cli import finished_run
from tests.policy.stored import attested, stated
from tests.registry.blank import blank
from tests.registry.subjects import enrolment

HARNESS = Path(resources.__file__).parent
DOOR = "harness/cli/terminal.py"
NASTY = "x [/srv] [red] team [/] :smile: \x1b]0;OWNED\x07\x1b[2J\x9b31m \u202egnp.exe\u2066 \u2028next\rover"
SHOWN = r"x [/srv] [red] team [/] :smile: \x1b]0;OWNED\x07\x1b[2J\x9b31m \u202egnp.exe\u2066 \u2028next\rover"
LONG = "a reason that goes on for longer than any terminal is wide, " * 4 + "and ends here"


def hidden(text: str) -> list[str]:
    """The characters in `text` that a terminal obeys or that deceive its reader."""
    return [one for one in text if not one.isprintable() and one != "\n"]


def run_folder(path: Path, reason: str) -> Path:
    """A stored run whose first trial is invalid for `reason`."""
    run = RunFolder(finished_run(path))
    events = [json.loads(line) for line in run.journal.read_text().splitlines()]
    finished = next(event for event in events if event["kind"] == "attempt.finished")
    finished["data"] |= {"verdict": "invalid", "reasons": [reason]}
    run.journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return run.root


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The URL of a registry with two servers and a guest whose customer writes as they like."""
    url = blank(tmp_path)
    with open_registry(url) as store:
        for name in ("a", "b"):
            attested(store, name, life_s=3600)
            stated(store, name, "HyperWall", "hyperwall", simulated=True)
        store.enrol(enrolment("guest", "guest"))
        for number in range(3):
            store.protection.set(
                "guest", request(["1"]).to_json(), by=f"[red] team {number}", why="x [/srv/data]"
            )
    yield url


# -- foreign text


def test_a_reason_is_printed_as_it_is_and_cannot_command_a_terminal(tmp_path: Path) -> None:
    root = run_folder(tmp_path / "run", NASTY)
    said = in_pipe("status", root)
    assert (said.code, said.err) == (0, "")
    assert SHOWN in said.text
    assert hidden(said.text) == []
    assert hidden(on_terminal(100, "status", root).plain) == []


def test_a_message_of_an_error_is_as_harmless(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text('name: a\n"\\e[2J\\a [/b]\\nerror (x): y": 1\n')
    said = in_pipe("plan", file)
    assert said.code == 3
    assert r"\x1b[2J\x07 [/b]\nerror (x): y" in said.err
    assert hidden(said.err) == []


def test_names_in_brackets_are_not_markup(registry: str) -> None:
    said = in_pipe("policy", "request", "guest", "--history", "--registry", registry)
    assert (said.code, said.err) == (0, "")
    assert "[red] team 1" in said.text
    assert "x [/srv/data]" in said.text


def test_a_character_that_the_stream_lacks_is_an_escape(tmp_path: Path) -> None:
    said = in_pipe("status", run_folder(tmp_path / "run", "größer"), PYTHONIOENCODING="ascii")
    assert (said.code, said.err) == (0, "")
    assert r"gr\xf6\xdfer" in said.text


# -- width


def test_a_pipe_gets_each_row_whole_on_one_line(tmp_path: Path) -> None:
    root = run_folder(tmp_path / "run", LONG)
    for environment in ({}, {"COLUMNS": "40"}, {"COLUMNS": "0"}, {"FORCE_COLOR": "1", "COLUMNS": "40"}):
        said = in_pipe("status", root, **environment)
        assert said.code == 0
        assert any(line.split()[:1] == ["idle-1"] or LONG in line for line in said.lines), environment
        assert LONG in said.plain


@pytest.mark.parametrize("width", [80, 40, 12])
def test_a_terminal_folds_and_loses_no_word(tmp_path: Path, width: int) -> None:
    said = on_terminal(width, "status", run_folder(tmp_path / "run", LONG))
    assert said.code == 0
    assert "…" not in said.plain
    assert said.plain.split().count("longer") == LONG.split().count("longer")
    assert said.plain.split().count("invalid") == 1


@pytest.mark.parametrize("columns", ["0", "-1", "wide", ""])
def test_a_width_that_is_none_is_not_obeyed(columns: str) -> None:
    for arguments in (("--help",), ("policy", "packages")):
        assert len(in_pipe(*arguments, COLUMNS=columns).text) > 300
        assert len(on_terminal(80, *arguments, COLUMNS=columns).text) > 300


TABLES = [
    ("policy", "packages"),
    ("policy", "capabilities"),
    ("policy", "validate", "guest"),
    ("policy", "explain", "guest", "a"),
    ("policy", "request", "guest"),
    ("policy", "request", "guest", "--history"),
    ("attest", "status"),
    ("audit", "show"),
    ("plan", "paper"),
    ("plan", "respond"),
]


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_every_table_says_the_same_words_everywhere(registry: str, arguments: tuple[str, ...]) -> None:
    def words(said: Ended) -> set[str]:
        assert said.code == 0, said.text
        assert "…" not in said.plain
        return {word.strip(":") for word in said.plain.split() if not word[0].isdigit()}

    pipe = words(in_pipe(*arguments, SODBENCH_REGISTRY=registry))
    for width in (80, 40):
        shown = words(on_terminal(width, *arguments, SODBENCH_REGISTRY=registry))
        assert {word for word in pipe - shown if len(word) <= 24} == set(), width


def test_the_capability_table_fits_a_common_terminal(registry: str) -> None:
    said = on_terminal(100, "policy", "capabilities", "--registry", registry)
    names = {line.split()[0] for line in said.lines if line.strip()}
    assert set(load_table()) <= names | {" ".join(line.split()[:2]) for line in said.lines}


def test_a_heading_in_a_table_has_no_title_on_a_narrow_terminal(registry: str) -> None:
    lines = on_terminal(40, "policy", "capabilities", "--registry", registry).lines
    assert {"hardware", "software", "architecture: AEGIS"} <= set(lines)
    assert "architecture: hardware" not in lines


def test_help_is_not_cut_on_a_narrow_terminal() -> None:
    for said in (on_terminal(40, "attest", "monitor", "--help"), in_pipe("attest", "monitor", "--help")):
        assert "…" not in said.plain
        assert "--guest-policy" in said.plain


# -- the door


def modules(*words: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module of the controller's with one of these words in its text: to parse all takes seconds."""
    for path in sorted(HARNESS.rglob("*.py")):
        name, text = str(path.relative_to(HARNESS.parent)), path.read_text()
        elsewhere = name.endswith(("_probe.py", "_program.py", "_holder.py"))
        if name != DOOR and not elsewhere and any(word in text for word in words):
            yield name, ast.parse(text)


def test_rich_is_used_behind_one_door_alone() -> None:
    found = []
    for name, tree in modules("rich", "click"):
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [name for one in names if one.split(".")[0] in {"rich", "click"}]
    assert found == []


def test_what_goes_around_the_door_is_json() -> None:
    """JSON escapes all that is not ASCII; anything else is printed through the door."""
    found = []
    for name, tree in modules("echo", "print", "write"):
        if not name.startswith("harness/cli/"):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {
                *("typer.echo", "typer.secho", "print", "sys.stdout.write", "sys.stderr.write"),
            }:
                continue
            given = ast.unparse(node.args[0])
            if not given.startswith(("json.dumps(", "f'sodbench {__version__}'")):
                found.append(f"{name}: {given}")
    assert found == []
