"""`sodbench compare` on played runs: what is refused, what can be accepted, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.compare import compare as command
from harness.errors import AlteredError, IncomparableError, RecordError, SodbenchError, UsageError
from harness.evidence.folder import RunFolder
from harness.files import read_json, write_json
from tests.played import campaigns
from tests.played.test_variants import TEXT

PLAIN = TEXT.replace("variants:\n  plain: {}\n  narrow: {migration: {bandwidth_mib_s: 32, tls: false}}\n", "")
SLOW = campaigns.BRIEF.replace("migration_s: 0.7", "migration_s: 1.4")


def made(root: Path, text: str, script: str = campaigns.BRIEF) -> RunFolder:
    root.mkdir()
    run = campaigns.begin(root, text, script)
    assert campaigns.carry_out(run, text) is not None
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    root = tmp_path_factory.mktemp("played")
    return {
        "plain": made(root / "plain", PLAIN),
        "again": made(root / "again", PLAIN),
        "slow": made(root / "slow", PLAIN, SLOW),
        "longer": made(root / "longer", PLAIN.replace("window_s: 8", "window_s: 9")),
        "variants": made(root / "variants", TEXT),
    }


def said(*words: str) -> str:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(words), catch_exceptions=False, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def refused(kind: type[SodbenchError], *words: str) -> SodbenchError:
    with pytest.raises(kind) as found:
        said(*words)
    return found.value


def test_runs_of_one_plan_are_compared_and_played_ones_said_to_be(runs: dict[str, RunFolder]) -> None:
    text = said(str(runs["plain"].root), str(runs["again"].root))
    (row,) = [line for line in text.splitlines() if "total_time" in line]
    assert " ~ " in row and "3 / 3" in row and "6 / 6" in row
    assert "PLAYED, not measured" in text


def test_a_difference_is_shown_with_its_factor(runs: dict[str, RunFolder]) -> None:
    found = json.loads(said(str(runs["plain"].root), str(runs["slow"].root), "--json"))
    (row,) = [one for one in found["rows"] if one["metric"] == "total_time"]
    assert row["shown"] and row["primary"]
    assert row["found"]["ratio"] > 1.5
    (row,) = [one for one in found["rows"] if one["metric"] == "data_sent"]
    assert not row["shown"]
    text = said(str(runs["plain"].root), str(runs["slow"].root))
    (line,) = [one for one in text.splitlines() if "total_time" in one]
    first, second, shift = (float(one) for one in line.replace(" ms", "").split()[2:5])
    assert shift == pytest.approx(second - first, abs=1.0) and f" {shift:+.0f} ms" in line


def test_the_same_question_has_the_same_answer(runs: dict[str, RunFolder]) -> None:
    words = (str(runs["plain"].root), str(runs["slow"].root), "--json")
    assert said(*words) == said(*words)


def test_two_variants_of_a_run_are_compared(runs: dict[str, RunFolder]) -> None:
    root = str(runs["variants"].root)
    text = said(f"{root}:plain", f"{root}:narrow", "--all")
    assert f"{runs['variants'].root.name}:narrow against" in text
    assert "iterations" in text


def test_a_plan_that_differs_is_refused_with_what_differs(runs: dict[str, RunFolder]) -> None:
    words = (str(runs["plain"].root), str(runs["longer"].root))
    error = refused(IncomparableError, *words)
    assert error.exit_code == 22
    assert "plan.trials" in str(error.why) and "--accept plan.trials" in str(error.remedy)
    assert "accepted: plan.trials" in said(*words, "--accept", "plan.trials")


def test_another_machine_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    moved = made(tmp_path / "moved", PLAIN)
    manifest = dict(read_json(moved.manifest))
    write_json(moved.manifest, {**manifest, "accelerator": "kvm"})
    (moved.root / "SHA256SUMS").unlink()
    error = refused(IncomparableError, str(runs["plain"].root), str(moved.root))
    assert "accelerator: " in str(error.why) and "against kvm" in str(error.why)


def test_encrypted_migrations_are_not_compared_with_those_of_before_there_was_a_choice(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    old = made(tmp_path / "old", PLAIN)
    manifest = dict(read_json(old.manifest))
    assert manifest.pop("migration_tls") is True
    write_json(old.manifest, manifest)
    (old.root / "SHA256SUMS").unlink()
    error = refused(IncomparableError, str(old.root), str(runs["plain"].root))
    assert "encryption: false against true" in str(error.why)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("variants", "plain", ()),
        ("plain:narrow", "plain", ()),
        ("variants:other", "variants:plain", ()),
        ("plain", "again", ("--accept", "nonsense")),
    ],
)
def test_what_is_asked_wrongly_is_told(
    runs: dict[str, RunFolder], first: str, second: str, words: tuple[str, ...]
) -> None:
    names = [":".join([str(runs[one.split(":")[0]].root), *one.split(":")[1:]]) for one in (first, second)]
    assert refused(UsageError, *names, *words).remedy


def test_altered_evidence_and_missing_runs_are_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    altered = made(tmp_path / "altered", PLAIN)
    with altered.journal.open("ab") as journal:
        journal.write(b"\n")
    refused(AlteredError, str(altered.root), str(runs["plain"].root))
    refused(RecordError, str(tmp_path / "nowhere"), str(runs["plain"].root))
