"""The appendix for artifact evaluation: every number and stand-in comes from the evidence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import report as reports
from harness import resources
from harness.analysis import stored
from harness.analysis.claims.verdicts import Run
from harness.report.artifact import appendix, facts
from harness.report.artifact.facts import Facts
from harness.report.artifact.statement import Wheel
from tests.synthetic import evidence
from tests.synthetic.truths import AttemptTruth, Truths

WHEEL = Wheel(name="sodbench-1.0-py3-none-any.whl", version="1.0", sha256="ab" * 32)


def told(folder: Path, *, seconds: float | None = 90.0) -> Facts:
    """The facts of a run whose load is a stand-in, and whose hosts' TPMs are programs."""
    attempts = (
        AttemptTruth(workload="file", generator="locust 2_1", substitutes="Faban & co"),
        AttemptTruth(),
    )
    root = evidence.build(folder / "run", Truths(attempts=attempts))
    root.attestation.mkdir()
    shutil.copy(resources.locate("policies") / "lab.yml", root.attestation / "policy.yml")
    run = Run(
        campaign="demo",
        name="20260101T000000Z-aaaaaa",
        rig="lab",
        accelerator="tcg",
        table=stored.table(root),
        seconds=seconds,
        stored_bytes=2_500_000,
        signature="",
    )
    return facts.of(run, root)


def written(folder: Path, one: Facts) -> Path:
    material = appendix.Material(papers=[], facts=[one], wheel=WHEEL, signer="cd" * 32)
    reports.write(appendix.document(material), folder, ("md", "tex"))
    return folder


@pytest.fixture
def page(tmp_path: Path) -> str:
    return (written(tmp_path / "out", told(tmp_path)) / "report.md").read_text(encoding="utf-8")


def row(page: str, first: str) -> list[str]:
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_stand_ins_are_those_of_the_evidence(page: str) -> None:
    assert row(page, "load of file") == ["load of file", "locust 2\\_1", "Faban &amp; co", "demo"]
    assert row(page, "the hosts' TPMs")[1:3] == [
        "swtpm, which the policy lab accepts",
        "a TPM 2.0 in hardware",
    ]


def test_times_disk_and_machines_are_those_of_the_evidence(page: str) -> None:
    assert row(page, "demo/20260101T000000Z-aaaaaa")[1:] == ["lab, tcg", "2", "2", "2.5"]
    assert row(page, "Time of the experiments")[1] == "2 min for 1 runs, measured"
    assert row(page, "Kernel") == ["Kernel", "6.1.0-30-amd64", "6.1.0-30-amd64", "6.1.0-30-amd64"]
    assert WHEEL.sha256 in row(page, "Binary")[1]


def test_a_run_whose_time_is_not_known_says_so(tmp_path: Path) -> None:
    page = (written(tmp_path / "out", told(tmp_path, seconds=None)) / "report.md").read_text(encoding="utf-8")
    assert "the run was resumed" in page
    assert row(page, "Time of the experiments")[1] == "not known: every run was resumed"


def test_real_tpms_and_the_papers_generators_are_no_stand_ins(tmp_path: Path) -> None:
    root = evidence.build(tmp_path / "run")
    run = Run(
        campaign="demo", name="x", rig="lab", accelerator="kvm", table=stored.table(root), seconds=1.0,
        stored_bytes=1, signature="",
    )  # fmt: skip
    page = written(tmp_path / "out", facts.of(run, root)) / "report.md"
    assert "The evidence names none" in page.read_text(encoding="utf-8")


@pytest.mark.programs
def test_it_compiles(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", told(tmp_path))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    assert (folder / "report.pdf").is_file()
