"""Files that a report shows next to its run: benchmarks and attacks, with their machine and date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.report import report as command
from harness.errors import RecordError
from harness.evidence.folder import RunFolder
from harness.report import compose, enclosed, material
from harness.report.document import render
from harness.report.document.model import MISSING
from tests.report.test_attestation import named, rows, said, table_of
from tests.synthetic import evidence
from tests.synthetic.truths import Truths

CASE = {
    "id": "replay", "group": "freshness", "title": "an answer to an earlier nonce", "key": "ecc-p256",
    "expected": "nonce-mismatch", "got": "nonce-mismatch", "verdict": "refused", "ms": 0.31, "n": 5,
}  # fmt: skip


def benchmarks(path: Path, **changes: Any) -> Path:
    stats = {
        "median": 9.2e-5,
        "min": 8.1e-5,
        "q1": 9.0e-5,
        "q3": 9.5e-5,
        "rounds": 2000,
        "iterations": 1,
        "mean": 1.0,
    }
    made = {
        "machine_info": {
            "node": "somewhere", "machine": "x86_64", "system": "Linux", "release": "6.1.0",
            "python_implementation": "CPython", "python_version": "3.11.2",
            "cpu": {"brand_raw": "A CPU", "count": 2},
        },
        "datetime": "2026-11-22T05:00:00+00:00",
        "version": "5.1.0",
        "commit_info": {},
        "benchmarks": [
            {"name": "test_verify_signature[rsa-2048]", "group": "4 signature", "params": {}, "stats": stats},
            {"name": "test_parse_attest", "group": None, "stats": {**stats, "median": 1.25e-5, "q1": None}},
        ],
        **changes,
    }  # fmt: skip
    path.write_text(json.dumps(made))
    return path


def adversary(path: Path, **changes: Any) -> Path:
    made = {
        "schema": 1,
        "machine": "x86_64, Linux 6.1.0",
        "date": "2026-11-22T05:00:00+00:00",
        "key_types": ["ecc-p256", "rsa-2048"],
        "cases": [CASE, {**CASE, "key": "rsa-2048", "ms": 0.2}, {**CASE, "id": "empty", "title": "no nonce"}],
        "sweeps": [
            {"id": "bit-flips", "key": "ecc-p256", "tried": 1160, "false_accepts": 0, "ms_total": 116.0}
        ],
        "mutants": {"tried": 41, "caught": 41},
        **changes,
    }
    path.write_text(json.dumps(made))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> RunFolder:
    return evidence.build(tmp_path / "run", Truths(attempts=()))


def test_benchmarks_are_shown_with_their_machine_and_date(empty: RunFolder, tmp_path: Path) -> None:
    document = compose.document(material.read(empty, benchmarks=benchmarks(tmp_path / "b.json")))
    found = named(document, "verification-cost")
    table = table_of(found, "verification-benchmarks")
    shown = {row["Step"]: row for row in rows(table)}
    assert shown["verify signature, rsa-2048"]["Median, µs"] == "92.0"
    assert shown["verify signature, rsa-2048"]["Per second, in sequence"] == "10\u202f870"
    assert shown["parse attest"]["Quartiles, µs"] == MISSING
    assert shown["parse attest"]["n"] == "2000"
    assert "A CPU, 2 CPUs, x86_64, Linux 6.1.0, CPython 3.11.2" in table.caption
    assert "2026-11-22T05:00:00+00:00" in table.caption and "somewhere" not in render.text(document, "md")


def test_attacks_are_shown_with_expected_and_verdict(empty: RunFolder, tmp_path: Path) -> None:
    document = compose.document(material.read(empty, adversary=adversary(tmp_path / "a.json")))
    found = named(document, "attacks")
    assert [tone for tone, _ in said(found)] == ["good", "good"]
    assert "3 of 3 cases (2 attacks)" in said(found)[0][1] and "1\u202f160 variants" in said(found)[0][1]
    shown = {row["Attack"]: row for row in rows(table_of(found, "attacks-tried"))}
    replay = shown["an answer to an earlier nonce"]
    assert (replay["Expected"], replay["Verdict"], replay["n"]) == ("nonce-mismatch", "refused", "10")
    assert (replay["time, ms: P-256"], replay["time, ms: RSA-2048"]) == ("0.31", "0.20")
    assert shown["no nonce"]["time, ms: RSA-2048"] == MISSING
    assert shown["freshness"]["Verdict"] == "3 of 3"
    assert rows(table_of(found, "attacks-sweeps"))[0]["Time each, µs"] == "100"
    assert "x86_64, Linux 6.1.0" in table_of(found, "attacks-tried").caption


def test_a_refusal_by_another_check_is_not_held(empty: RunFolder, tmp_path: Path) -> None:
    wrong = {
        **CASE,
        "id": "other",
        "title": "another key",
        "expected": "key-unknown",
        "got": "signature-invalid",
    }
    path = adversary(
        tmp_path / "a.json",
        cases=[CASE, wrong],
        sweeps=[{"id": "cuts", "key": "ecc-p256", "tried": 9, "false_accepts": 1, "ms_total": None}],
        mutants={"tried": 41, "caught": 40},
    )
    found = named(compose.document(material.read(empty, adversary=path)), "attacks")
    assert [tone for tone, _ in said(found)] == ["warning", "warning"]
    table = table_of(found, "attacks-tried")
    (cell,) = [row[2] for row in table.rows if row[0].text == "another key"]
    assert (cell.text, cell.tone) == ("refused: signature-invalid (P-256)", "bad")
    (sweep,) = table_of(found, "attacks-sweeps").rows
    assert sweep[3].tone == "bad" and sweep[4].text == MISSING


def test_what_a_file_does_not_say_stays_unknown(empty: RunFolder, tmp_path: Path) -> None:
    path = adversary(tmp_path / "a.json", machine=None, date=None, mutants=None, sweeps=[])
    bare = benchmarks(tmp_path / "b.json", machine_info={}, datetime=None)
    document = compose.document(material.read(empty, adversary=path, benchmarks=bare))
    assert render.text(document, "md").count(enclosed.UNKNOWN) >= 4
    assert any("was not tested" in text for _, text in said(named(document, "attacks")))


@pytest.mark.parametrize("schema", ["2", "true", '"1"', "null", "1.0"])
def test_a_file_of_another_schema_is_refused_with_what_to_do(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "strange.json"
    path.write_text(f'{{"schema": {schema}, "key_types": [], "cases": []}}')
    with pytest.raises(RecordError, match=f"of schema {schema}") as caught:
        enclosed.adversary(path)
    assert "use the version of sodbench that wrote it" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 2}', '{"schema": 1, "key_types": [], "cases": [{"id": "x"}]}']
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strange.json"
    path.write_text(text)
    for read in (enclosed.adversary, enclosed.benchmarks):
        with pytest.raises(RecordError, match=r"strange\.json"):
            read(path)
    with pytest.raises(RecordError, match=r"none\.json"):
        enclosed.adversary(tmp_path / "none.json")


def test_the_command_takes_both_files(empty: RunFolder, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    given = [
        str(empty.root), "-f", "md", "--out", str(tmp_path / "here"),
        "--benchmarks", str(benchmarks(tmp_path / "b.json")),
        "--adversary", str(adversary(tmp_path / "a.json")),
    ]  # fmt: skip
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "here/report.md").read_text(encoding="utf-8")
    assert "## Attacks tried" in text and "## What each step of the verification costs" in text
