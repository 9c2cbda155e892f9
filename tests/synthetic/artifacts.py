"""What a small artifact is made from: a run of three trials, three claims, and a wheel of a small program."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from harness.analysis import table
from harness.evidence import archive, seal
from harness.report.artifact.build import Parts
from tests.synthetic import evidence
from tests.synthetic.truths import AttemptTruth, MigrationTruth, Truths

CLAIMS = """
paper: A paper
cite: An author, a conference
claims:
  - id: idle-time
    says: A migration of an idle guest takes 3 s.
    place: Table V
    experiment:
      campaigns: [demo]
      metric: total_time
      workloads: [idle]
      expected: {value: 3.0, tolerance: 0.1}
  - id: matrix
    says: Table II.
    place: Table II
    check: request-matrix
  - id: none
    says: Not here.
    place: section 9
    not_tested: it has no code
"""
NAME = "sodbench-0.1.0-py3-none-any.whl"
RUN = "evidence/demo/20260101T000000Z-aaaaaa"


def truths(total_s: float = 3.0) -> Truths:
    """Three trials of one migration each; the last takes `total_s`."""
    each = [
        AttemptTruth(migrations=(MigrationTruth(planned_s=1, total_s=one),)) for one in (3.0, 3.01, total_s)
    ]
    loaded = [
        AttemptTruth(migrations=one.migrations, generator="locust 2", substitutes="Faban") for one in each
    ]
    return Truths(attempts=tuple(loaded), window_s=8.0, baseline_s=1.0)


def packed_run(folder: Path, total_s: float = 3.0) -> Path:
    run = evidence.build(folder / "run", truths(total_s))
    manifest = json.loads(run.manifest.read_text())
    run.manifest.write_text(json.dumps({**manifest, "run": RUN.rsplit("/", 1)[1]}))
    table.write(run)
    seal.close(run)
    seal.keep_derived(run)
    archive.pack(run, folder / "packed")
    return folder / "packed"


def parts(folder: Path, code: Path) -> Parts:
    """The parts of an artifact in `folder`, with a wheel of the program in `code`."""
    (folder / "claims").mkdir()
    (folder / "claims/paper.yml").write_text(CLAIMS)
    packed_run(folder)
    with zipfile.ZipFile(folder / NAME, "w") as wheel:
        for path in code.rglob("*.py"):
            wheel.write(path, f"harness/{path.relative_to(code).as_posix()}")
    (folder / "requirements.lock").write_text("x==1 \\\n    --hash=sha256:00\n")
    (folder / "bill.json").write_text('{"bomFormat": "CycloneDX"}')
    return Parts(
        stored=folder / "packed",
        claims=folder / "claims",
        wheel=folder / NAME,
        lock=folder / "requirements.lock",
        sbom=folder / "bill.json",
    )
