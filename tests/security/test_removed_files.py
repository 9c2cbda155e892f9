"""Checks of files, paths, documents and the command line: each is removed once, and its attack succeeds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import ansible_runner
import click
import pandas as pd
import pytest
import typer
from pydantic import ValidationError

from harness import cli, resources, sums
from harness.analysis import table as tables
from harness.attest.examine import evidence_file
from harness.attest.reference import files as reference_files
from harness.cli import metrics as metrics_verb
from harness.cli import terminal
from harness.cli.attest import reference as reference_verb
from harness.cli.policy import request as request_verb
from harness.errors import AlteredError, InputFileError, RecordError, SodbenchError, StorageError
from harness.evidence import folder as folders
from harness.evidence import seal
from harness.evidence.folder import RunFolder
from harness.policy import capability_file
from harness.policy.request import request
from harness.report import material
from harness.rig import inventory, lock_holder
from harness.rig.guest import image
from harness.workloads import paths
from harness.workloads.file import FileOptions
from tests.security.removed import Attack, Removed, require_needed

STORAGE = "/srv/a b; touch /tmp/x"


def _altered(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    (folder / "manifest.json").write_text(json.dumps({"schema": 0}))
    (folder / "journal.jsonl").write_text("")
    seal.close(run)
    (folder / "journal.jsonl").write_text("forged")
    return run


def forged_run(folder: Path) -> bool:
    """The evidence was altered since the run ended."""
    try:
        seal.require(_altered(folder))
    except AlteredError:
        return True
    return False


def forged_report(folder: Path) -> bool:
    """A report is asked for of altered evidence."""
    try:
        material.read(_altered(folder))
    except SodbenchError as error:
        return isinstance(error, AlteredError)
    return False


def forged_metrics(folder: Path) -> bool:
    """Metrics are asked for of altered evidence, which would be blessed by sums of its own."""
    run = _altered(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folders, "find", lambda _path: run)
        patch.setattr(tables, "write", lambda _run: pd.DataFrame({"value": [1]}))
        try:
            metrics_verb.metrics(folder)
        except AlteredError:
            return True
    return False


def painted_terminal(_folder: Path) -> bool:
    """A text of a machine has controls that a terminal obeys."""
    escape = "\x1b]0;OWNED\x07\x1b[2J"
    shown = terminal._text((escape, terminal.Styled(escape, "bold"))).plain
    return "\x1b" not in shown and "\x1b" not in terminal._text(escape).plain


def large_reference(folder: Path) -> bool:
    """Reference values of many files, which the verb that wrote them has to read back."""
    (folder / "reference.yml").write_text('{"version": 1,' + " " * 4_200_000 + '"pcrs": {}}')
    try:
        reference_files.load_reference(folder / "reference.yml")
    except InputFileError as error:
        return "too large" not in str(error) and "more than" not in str(error)
    return True


def too_many_values(folder: Path) -> bool:
    """More reference values are recorded than are ever read back."""
    values = reference_files.reference('{"version": 1}', "values")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_verb, "MAX_REFERENCE_CHARS", 3)
        try:
            reference_verb._keep(values, folder / "reference.yml", add=False)
        except StorageError:
            return not (folder / "reference.yml").exists()
    return False


def linked_lock(folder: Path) -> bool:
    """The lock's name is a link to a file that root may truncate."""
    victim, lock = folder / "victim", folder / "lock"
    victim.write_text("precious")
    lock.symlink_to(victim)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(OSError):
        patch.setattr(lock_holder, "PATH", str(lock))
        patch.setattr(sys, "stdin", io.StringIO("me\n"))
        patch.setattr(sys, "stdout", io.StringIO())
        lock_holder.main()
    return victim.read_text() == "precious"


def link_out_of_the_run(folder: Path) -> bool:
    """A log is a link to a file that the archive's readers must not see."""
    (folder / "secret").write_text("root:x")
    (folder / "controller.log").symlink_to(folder / "secret")
    try:
        sums.content(folder / "controller.log")
    except RecordError:
        return True
    return False


def link_in_the_sums(folder: Path) -> bool:
    """A link lies in the run when its sums are made."""
    run = RunFolder(folder / "run")
    run.root.mkdir()
    (folder / "secret").write_text("root:x")
    (run.root / "controller.log").symlink_to(folder / "secret")
    try:
        seal.close(run)
    except RecordError:
        return False
    return "controller.log" not in sums.read(run.root / seal.EVIDENCE_SUMS)


def pipe_in_the_run(folder: Path) -> bool:
    """A pipe lies where a file is expected."""
    os.mkfifo(folder / "SHA256SUMS")
    try:
        sums.content(folder / "SHA256SUMS")
    except RecordError:
        return True
    return False


def device_as_evidence(_folder: Path) -> bool:
    """A device is named as a file of evidence."""
    try:
        evidence_file.read(Path("/dev/null"))
    except RecordError as error:
        return "not a regular file" in str(error)
    return False


def formula(_folder: Path) -> bool:
    """A table's text would be computed by a spreadsheet."""
    begins = (
        '=HYPERLINK("http://x")',
        "-1+1",
        "@SUM(1)",
        "\n=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20SUM(1)",
    )
    shown = tables.inert(pd.DataFrame({"detail": begins}))["detail"]
    return list(shown) == [f"'{text}".replace("\n", "\n'") for text in begins]


def later_formula(_folder: Path) -> bool:
    """A table's text would be computed where another character separates cells."""
    given = ["x;=1", 'x;"=1', "x\t@1", "x\n-1", '"=1', "a; b=1"]
    shown = tables.inert(pd.DataFrame({"detail": given}))["detail"]
    return list(shown) == ["x;'=1", "x;\"'=1", "x\t'@1", "x\n'-1", "'\"=1", "a; b=1"]


def read_by_others(folder: Path) -> bool:
    """A verb writes where others may look."""
    before = os.umask(0o022)
    try:
        with click.Context(click.Command("sodbench")) as context:
            context.invoked_subcommand = "policy"
            cli._root(cast(typer.Context, context), version=False)
            (folder / "evidence").write_text("")
        return (folder / "evidence").stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)


def executable_inventory(folder: Path) -> bool:
    """An inventory is a program, and only a look was asked for."""
    file = folder / "inventory"
    file.write_text("#!/bin/sh\nexit 0\n")
    file.chmod(0o755)
    try:
        inventory._require_readable(file, programs=False)
    except SodbenchError:
        return True
    return False


def endless_inventory(folder: Path) -> bool:
    """An inventory takes for ever to read: Ansible has to be told to give up."""
    told: dict[str, Any] = {}

    def run(**words: object) -> object:
        told.update(words)
        return SimpleNamespace(status="timeout", stdout=io.StringIO())

    (folder / "inventory.yml").write_text("all:\n")
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SodbenchError):
        patch.setattr(ansible_runner, "run", run)
        inventory.resolve(folder / "inventory.yml", machines=["a"], wanted=["x"], programs=False)
    return told.get("timeout") == inventory.LIMIT_S


def words_of_a_shell_in_a_path(_folder: Path) -> bool:
    """The storage's path would be more than one word of a shell."""
    pair = cast(Any, SimpleNamespace(storage_path=STORAGE))
    return shlex.split(image._folder(pair, "key")) == [f"{STORAGE}/images/key"]


def words_of_a_shell_in_a_removal(_folder: Path) -> bool:
    """The same where root removes old images."""
    ran: list[str] = []
    builder = SimpleNamespace(run=lambda command, **_limits: ran.append(command))
    image._prune(cast(Any, SimpleNamespace(storage_path=STORAGE)), cast(Any, builder), ["key"])
    return f"{STORAGE}/images" in shlex.split(ran[0]) and f"{STORAGE}/snapshots" in shlex.split(ran[0])


def lookalike(folder: Path) -> bool:
    """A file of capabilities defines an architecture that looks like another."""
    lines = (resources.reference() / capability_file.SHIPPED).read_text().splitlines()
    row = next(line for line in lines if "HyperWall" in line)
    (folder / "mine.csv").write_text(f"{lines[0]}\n{row.replace('HyperWall', 'HyperWaIl')}\n")
    try:
        capability_file.load_table([folder / "mine.csv"])
    except InputFileError:
        return True
    return False


def weaker_request(_folder: Path) -> bool:
    """A request takes the place of one that asked for more."""
    table = capability_file.load_table()
    before, made = (request(options, (), (), table=table) for options in (["1", "2"], ["1"]))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        stored = SimpleNamespace(body=before.to_json())
        request_verb._tell_weaker("vm", cast(Any, stored), made)
    return "no longer asked for" in said.getvalue()


def option_as_a_path(_folder: Path) -> bool:
    """A campaign's path would be an option of the program that is handed it."""
    try:
        FileOptions(directory="-rf")
    except ValidationError:
        return True
    return False


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (Removed(function=seal.require, check="if found:", by="if False:"), forged_run),
    (Removed(function=material.read, check="seal.require(run)", by="True"), forged_report),
    (Removed(function=metrics_verb.metrics, check="not seal.require(folder)", by="False"), forged_metrics),
    (Removed(function=terminal._text, check="Text(legible(cell))", by="Text(cell)"), painted_terminal),
    (
        Removed(function=terminal._text, check="Text(legible(cell.text)", by="Text(cell.text"),
        painted_terminal,
    ),
    (
        Removed(function=reference_files.load_reference, check=", MAX_REFERENCE_CHARS", by=""),
        large_reference,
    ),
    (
        Removed(function=reference_verb._keep, check="len(text) > MAX_REFERENCE_CHARS", by="False"),
        too_many_values,
    ),
    (Removed(function=lock_holder.main, check=" | os.O_NOFOLLOW", by=""), linked_lock),
    (Removed(function=sums._opened, check=" | os.O_NOFOLLOW", by=""), link_out_of_the_run),
    (Removed(function=seal.close, check="regular and ", by=""), link_in_the_sums),
    (
        Removed(function=sums._opened, check="not stat.S_ISREG(os.fstat(file.fileno()).st_mode)", by="False"),
        pipe_in_the_run,
    ),
    (Removed(function=evidence_file.read, check="not path.is_file()", by="False"), device_as_evidence),
    (
        Removed(function=tables._inert, check="value.lstrip('\"').startswith(_FORMULA)", by="False"),
        formula,
    ),
    (Removed(function=tables._inert, check=r"""_LATER.sub(r"\1'", value)""", by="value"), later_formula),
    (Removed(function=tables.inert, check="texts[name].map(_inert", by="texts[name].map(str"), formula),
    (Removed(function=cli._root, check="os.umask(0o077)", by="os.umask(0o022)"), read_by_others),
    (
        Removed(function=inventory._require_readable, check="not programs and is_program(file)", by="False"),
        executable_inventory,
    ),
    (Removed(function=inventory.resolve, check="timeout=LIMIT_S,", by=""), endless_inventory),
    (
        Removed(
            function=image._folder,
            check='shlex.quote(f"{pair.storage_path}/images/{key}")',
            by='f"{pair.storage_path}/images/{key}"',
        ),
        words_of_a_shell_in_a_path,
    ),
    (
        Removed(function=image._prune, check="shlex.quote(pair.storage_path)", by="pair.storage_path"),
        words_of_a_shell_in_a_removal,
    ),
    (
        Removed(function=capability_file.looks_like, check="plain.translate(_ALIKE)", by="plain"),
        lookalike,
    ),
    (Removed(function=request_verb._tell_weaker, check="if lost:", by="if False:"), weaker_request),
    (
        Removed(function=paths._absolute, check="_ABSOLUTE.fullmatch(value) is None", by="False"),
        option_as_a_path,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
