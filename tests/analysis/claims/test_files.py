"""Files of claims: the shipped ones are whole, and mistakes are named by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import resources, workloads
from harness.analysis.claims import files
from harness.analysis.claims.files import ClaimsError, Known
from harness.analysis.table import metric_set

GOOD = """\
paper: A paper
cite: Its authors, 2013
claims:
  - id: one
    says: It takes 10 s.
    place: Table V
    experiment:
      campaigns: [paper]
      metric: total_time
      workloads: [app]
      expected: {value: 10, tolerance: 0.2}
      relation: {to: idle, low: 2}
"""


@pytest.fixture(scope="module")
def known() -> Known:
    return Known(
        campaigns=[path.stem for path in resources.campaigns().glob("*.yml")],
        metrics=[metric.name for metric in metric_set().all],
        workloads=list(workloads.available()),
    )


def test_the_shipped_claims_name_what_there_is(known: Known) -> None:
    papers = files.load(resources.claims(), known)
    assert len(papers) == 2
    assert sum(len(paper.claims) for paper in papers) >= 40


def test_table_v_is_the_papers(known: Known) -> None:
    rows = (resources.reference() / "table5_migration.csv").read_text(encoding="utf-8").split()[1:]
    claims = {claim.id: claim for paper in files.load(resources.claims(), known) for claim in paper.claims}
    for row in rows:
        workload, total_s, downtime_ms, sent_mb = row.split(",")
        wanted = {"total-time": float(total_s), "downtime": float(downtime_ms) / 1e3}
        wanted["data-sent"] = float(sent_mb) * 1e6
        wanted |= {f"aged-{name}": value for name, value in wanted.items()}
        for name, value in wanted.items():
            experiment = claims[f"{name}-{workload}"].experiment
            assert experiment is not None
            assert experiment.expected.value == pytest.approx(value)
            assert experiment.given is (name == "aged-data-sent")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[paper]", "[papr]", 4, "did you mean 'paper'?"),
        ("total_time", "total_tme", 4, "did you mean 'total_time'?"),
        ("[app]", "[ap]", 4, "did you mean 'app'?"),
        ("to: idle", "to: idel", 4, "did you mean 'idle'?"),
        ("to: idle", "to: app", 7, "another workload"),
        (", tolerance: 0.2", "", 11, "either value and tolerance, or low, high or both"),
        ("value: 10, tolerance: 0.2", "low: 2, high: 1", 11, "low end is below"),
        ("place: Table V", "place: Table V\n    not_tested: no data", 4, "exactly one of"),
        ("relation:", "where_set: one\n      relation:", 4, "no claim that is given 'one'"),
        ("claims:\n", "runs: {smoke: [papr]}\nclaims:\n", 3, "did you mean 'paper'?"),
        ("id: one", "id: One claim", 4, "id"),
        ("says:", "text:", 5, "says"),
    ],
)
def test_a_mistake_is_refused_by_its_line(
    tmp_path: Path, known: Known, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    (tmp_path / "mine.yml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ClaimsError) as caught:
        files.load(tmp_path, known)
    assert f"mine.yml:{line}" in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.exit_code == 3


def test_an_unknown_check_is_refused(tmp_path: Path, known: Known) -> None:
    text = GOOD[: GOOD.index("    experiment:")] + "    check: request-matrx\n"
    (tmp_path / "mine.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ClaimsError, match="did you mean 'request-matrix'"):
        files.load(tmp_path, known)


def test_two_claims_of_one_name_are_refused_with_both_places(tmp_path: Path, known: Known) -> None:
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    with pytest.raises(ClaimsError) as caught:
        files.load(tmp_path, known)
    assert "b.yml:4" in str(caught.value)
    assert "a.yml:4" in str(caught.value)


def test_a_folder_without_claims_is_refused(tmp_path: Path, known: Known) -> None:
    with pytest.raises(ClaimsError, match="no file of claims"):
        files.load(tmp_path, known)
