"""The report on attestation: its numbers are those that went in, and none is of what was refused."""

from __future__ import annotations

import json
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.evidence.folder import RunFolder
from harness.report import compose, material
from harness.report.attestation import figures as attestation_figures
from harness.report.attestation import identity as attestation_identity
from harness.report.attestation import rows as proofs
from harness.report.attestation import section as attestation
from harness.report.document import render
from harness.report.document.model import MISSING, Answer, Block, Callout, Document, Figure, Section, Table
from harness.report.material import Material
from tests.report import page, unpainted
from tests.synthetic import evidence
from tests.synthetic.attestations import Attested, build
from tests.synthetic.truths import AttemptTruth, MigrationTruth, Truths

MOVES = tuple(MigrationTruth(planned_s=at_s) for at_s in (4.0, 12.0, 20.0))
TRUTHS = Truths(
    baseline_s=6.0,
    window_s=30.0,
    heartbeat_hz=50.0,
    attempts=(
        AttemptTruth(workload="idle", migrations=MOVES),
        AttemptTruth(
            workload="file", migrations=MOVES, generator="locust", version="2.43.1", substitutes="dbench"
        ),
        AttemptTruth(workload="file", migrations=MOVES, verdict="invalid", reasons=("the load died",)),
        AttemptTruth(workload="file", kind="control", migrations=(), points_s=(4.0, 12.0, 20.0)),
    ),
)
ATTESTED = Attested(
    interval_s=0.5,
    refused={(1, 20): "pcr-value"},
    unanswered={(1, 30): "timed-out"},
    broken={(1, 2): "guest-restarted"},
)
SHORT = Truths(window_s=5.0, heartbeat_hz=20.0, attempts=(AttemptTruth(workload="idle", migrations=()),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return build(tmp_path_factory.mktemp("results") / "demo" / "20260921T141320Z-ab12cd", TRUTHS, ATTESTED)


@pytest.fixture(scope="module")
def seen(run: RunFolder) -> Material:
    return material.read(run)


@pytest.fixture(scope="module")
def whole(seen: Material) -> Document:
    with unpainted.figures(but="attestation"):
        return compose.document(seen)


@pytest.fixture(scope="module")
def section(whole: Document) -> Section:
    return named(whole, "attestation")


def named(document: Document, key: str) -> Section:
    return next(one for one in document.sections if one.key == key)


def table_of(section: Section, key: str) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table) and block.key == key)


def answers(section: Section) -> dict[str, str]:
    return {block.subject: block.text for block in section.blocks if isinstance(block, Answer)}


def said(blocks: list[Block] | Section) -> list[tuple[str, str]]:
    shown = blocks.blocks if isinstance(blocks, Section) else blocks
    return [(block.tone, block.text) for block in shown if isinstance(block, Callout)]


def words(figure: Figure) -> str:
    found = ElementTree.fromstring(figure.svg).iter("{http://www.w3.org/2000/svg}text")
    return " ".join("".join(text.itertext()).strip() for text in found)


def rows(table: Table) -> list[dict[str, str]]:
    heads = [column.flat for column in table.columns]
    return [dict(zip(heads, (cell.text for cell in row), strict=True)) for row in table.rows]


def picked(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    kept = table[table["verdict"].eq("valid") & table["tier"].eq("affirming")]
    for column, value in wanted.items():
        kept = kept[kept[column].eq(value)]
    return kept


def test_only_a_run_with_attestations_has_the_section(section: Section, tmp_path: Path) -> None:
    assert section.title == "What attestation costs"
    plain = compose.document(material.read(evidence.build(tmp_path / "run", Truths(attempts=()))))
    assert "attestation" not in [one.key for one in plain.sections]
    assert not [figure for figure in plain.figures if figure.key.startswith("attestation")]


def test_each_kind_has_its_sentence_with_medians_and_their_n(seen: Material, section: Section) -> None:
    found = answers(section)
    assert list(found) == ["host", "guest", "linked", "identity"]
    idle = picked(seen.attestations, kind="host", key="ecc-p256", workload="idle")
    quiet = idle[idle["phase"].ne("during")]["latency_s"]
    assert f"{np.median(quiet) * 1e3:.2f}\u00a0ms with P-256 (n = {len(quiet)} in 1 trial)" in found["host"]
    assert (
        "under load, by workload, 1." in found["host"] and "while a migration was under way" in found["host"]
    )


def test_latency_by_kind_key_workload_and_phase(seen: Material, section: Section) -> None:
    table = table_of(section, "attestation-latency")
    found = rows(table)
    assert len(found) == 3 * 2 * 2
    heads = [(row[0].text, row[0].below, row[1].text) for row in table.rows if row[0].text]
    assert heads == [
        (kind, "software TPM, ESAPI", key)
        for kind in ("host", "guest alone", "guest linked to its host")
        for key in ("P-256", "RSA-2048")
    ]
    names = [row["Workload"] for row in found]
    assert names == [*["file*", "idle"] * 6] and "locust 2.43.1 in place of dbench" in table.caption
    mine = picked(seen.attestations, kind="host", key="ecc-p256", workload="file")
    for phase, group in proofs.PHASES.items():
        values = mine[mine["phase"].eq(phase)]["latency_s"]
        assert found[0][f"{group}, ms: n"] == str(len(values))
        if len(values):
            assert float(found[0][f"{group}, ms: median"]) == pytest.approx(np.median(values) * 1e3, rel=0.01)


def test_a_quantile_that_is_not_carried_is_a_dash_with_its_reason(section: Section) -> None:
    table = table_of(section, "attestation-latency")
    at = [column.flat for column in table.columns].index("during a migration, ms: p99")
    cells = [row[at] for row in table.rows]
    assert {cell.text for cell in cells} == {MISSING}
    assert any("p99 takes 100 values or more" in cell.reason for cell in cells)
    assert {row[at - 2].below for row in table.rows} == {""}
    assert "1 trial: no interval" in table.caption


def test_the_interval_of_a_quantile_counts_each_trial_once() -> None:
    """Six trials of 20 attestations each: the least and the largest of their own medians and p95."""
    took = [trial / 1e3 + n / 1e5 for trial in range(1, 7) for n in range(20)]
    table = pd.DataFrame({"trial": [f"{n // 20}" for n in range(120)], "latency_s": took})
    median, p95, p99 = proofs.cells(table, "latency_s")
    assert (median.text, median.below) == ("3.60", "1.09–6.09")
    assert p95.below == "1.18–6.18"
    assert p99.text != MISSING and p99.below == ""


def test_refused_and_invalid_ones_are_in_no_number(seen: Material, section: Section) -> None:
    table = table_of(section, "attestation-latency")
    numbers = [row[key] for row in rows(table) for key in row if key.endswith(": n")]
    counted = picked(seen.attestations)
    assert sum(map(int, numbers)) == len(counted) < len(seen.attestations)
    assert "invalid" in set(seen.attestations["verdict"])


def test_the_parts_are_there_and_sum_to_the_whole(seen: Material, section: Section) -> None:
    found = rows(table_of(section, "attestation-parts"))
    heads = [at for at, row in enumerate(found) if row["Attestation"]]
    host, linked = found[: heads[1]], found[heads[4] : heads[5]]
    assert [row["Part"] for row in host[1:]] == [
        "transport both ways", "the attester's own work", "TPM2_Quote", "verification",
        "total: RG − NS",
        "then: delivery of the result", "then: its appraisal",
    ]  # fmt: skip
    assert len(linked) == len(host) + 4
    group = "idle, no migration, ms: median"
    parts = [float(row[group]) for row in host[1:5]]
    assert sum(parts) == pytest.approx(float(host[5][group]), rel=0.05)
    assert host[0][group].startswith("n = ")


def test_each_step_of_the_verification_has_its_time(seen: Material, section: Section) -> None:
    found = rows(table_of(section, "attestation-steps"))
    assert [row["Step"] for row in found][1:4] == ["1 structure", "2 scheme", "3 key"]
    assert found[-1]["Step"] == "12 appraisal" and len(found) == 13
    mine = picked(seen.attestations, kind="host", key="rsa-2048")
    took = [json.loads(text)["4 signature"] / 1e3 for text in mine["steps"]]
    assert float(found[4]["host, RSA-2048: median"]) == pytest.approx(np.median(took), rel=0.01)
    assert float(found[4]["linked, P-256: median"]) > 1.5 * float(found[4]["guest, P-256: median"])


def test_the_age_at_use_is_that_of_the_destinations_quote(section: Section) -> None:
    found = rows(table_of(section, "attestation-use"))
    assert [(row["Workload"], row["n"]) for row in found] == [("file*", "3"), ("idle", "3")]
    for row in found:
        assert 480 < float(row["age of the evidence, ms: median"]) < 500
        assert float(row["age of the evidence, ms: median"]) > float(row["after the verdict, ms: median"])


def test_identity_is_counted_and_shown_for_each_migration(section: Section) -> None:
    assert "under load kept its attested identity: 2 of 3; idle: 3 of 3." in answers(section)["identity"]
    found = rows(table_of(section, "attestation-continuity"))
    assert [row["Identity"] for row in found].count("kept") == 5
    (broken,) = [row for row in found if row["Identity"] == "not kept"]
    assert (broken["No."], broken["Verdict"], broken["Key"]) == ("2", "guest-restarted", "the same")
    assert all("±" in row["Window, OP − EG, ms"] for row in found)


def test_another_key_or_a_restart_is_no_kept_identity(seen: Material) -> None:
    changes: list[tuple[str, Any]] = [("same_key", False), ("boot", "reboot"), ("continuity_tier", "none")]
    for column, value in changes:
        table = seen.attestations.copy()
        table.loc[table["continuity"].notna() & table["workload"].eq("idle"), column] = value
        found = attestation_identity.passages(seen.attempts, table)
        assert [one.kept for one in found if one.attempt.workload == "idle"] == [False] * 3, column


def test_a_migration_that_nobody_asked_about_is_not_kept(seen: Material) -> None:
    table = seen.attestations[
        seen.attestations["continuity"].isna() | seen.attestations["workload"].ne("idle")
    ]
    found = attestation_identity.passages(seen.attempts, table)
    assert "idle: 0 of 3, 3 of them never asked." in attestation_identity.sentence(found)
    shown = attestation_identity.continuity(found, seen.names)
    assert [row["Identity"] for row in rows(shown)].count("not asked") == 3
    assert any("no attestation of the guest" in note.text for note in shown.notes)


def test_what_was_refused_is_listed_with_its_reason(section: Section) -> None:
    assert any("1 were refused, and of 1 nothing was learnt" in text for _, text in said(section))
    counts = {row["Reason"]: row for row in rows(table_of(section, "attestation-refusals"))}
    assert {name: (row["Tier"], row["Times"]) for name, row in counts.items()} == {
        "pcr-value": ("contraindicated", "1"),
        "timed-out": ("none", "1"),
    }
    listed = rows(table_of(section, "attestation-refused"))
    assert [(row["Trial"], row["Reason"], row["Why"]) for row in listed] == [
        ("002-file*", "pcr-value", "as the test wants it"),
        ("002-file*", "timed-out", "no answer"),
    ]


def test_many_refusals_are_counted_and_not_listed(seen: Material) -> None:
    table = seen.attestations.copy()
    table["tier"], table["reason"] = "contraindicated", "signature-invalid"
    keys = [block.key for block in attestation_identity.refusals(table, seen.names)]
    assert keys == ["attestation-refusals"]


def test_where_all_were_refused_there_are_no_times_and_it_is_said(seen: Material) -> None:
    table = seen.attestations.assign(tier="contraindicated", reason="signature-invalid")
    found = attestation.section(replace(seen, attestations=table), [])
    assert ("warning", "No attestation of a valid trial was accepted: there are no times.") in said(found)
    assert attestation_figures.stacked(proofs.counted(table)) is None


def test_where_none_was_refused_that_is_said(seen: Material) -> None:
    table = seen.attestations[seen.attestations["reason"].eq("accepted")]
    found = attestation.section(replace(seen, attestations=table), [])
    assert ("good", f"All {len(table)} attestations were answered and accepted.") in said(found)


def test_attesters_that_were_started_again_are_said_and_none_where_none_was(seen: Material) -> None:
    assert not any("started again" in text for _, text in said(attestation.section(seen, [])))
    found = attestation.section(replace(seen, attesters_restarted={"b": 1, "guest": 3}), [])
    (restarts,) = [one for one in said(found) if "started again" in one[1]]
    assert restarts[0] == "warning" and "(b: 1, guest: 3)" in restarts[1]


def test_those_that_were_passed_over_are_said(seen: Material) -> None:
    found = attestation.section(replace(seen, attestations_missed=4), [])
    assert any(text.startswith("4 more were due and skipped") for _, text in said(found))


@pytest.mark.parametrize(
    ("attested", "tone", "text"),
    [
        (ATTESTED, "warning", "a, b, guest: software TPM (IBM, firmware 2019.1023), through ESAPI."),
        (Attested(software=False), "note", "a, b, guest: hardware TPM (IFX, firmware 7.85), through ESAPI."),
        (Attested(events=False), "note", "a, b, guest: which TPM it is was not recorded."),
    ],
)
def test_the_state_path_is_said(attested: Attested, tone: str, text: str, tmp_path: Path) -> None:
    found = attestation.section(material.read(build(tmp_path / "run", SHORT, attested)), [])
    ((shown, words),) = [each for each in said(found) if each[1].startswith("State path.")]
    assert shown == tone and text in words


def test_the_figures_say_what_they_show_and_by_which_tpm(whole: Document) -> None:
    figures = {figure.key: figure for figure in whole.figures}
    over, parts = figures["attestation-time"], figures["attestation-parts-chart"]
    assert "times as long as without one" in over.title
    assert all(
        part in words(over) for part in ("host", "guest alone", "file*", "idle", "software TPM, ESAPI")
    )
    assert "locust 2.43.1 in place of dbench" in words(over)
    assert "the largest part of each" in parts.title
    assert all(
        part in words(parts) for part in ("verification", "TPM2_Quote", "a migration under way", "(n ")
    )


def test_a_panel_without_a_refused_one_takes_no_room_from_the_others(seen: Material) -> None:
    trials = [(one, seen.attestations[seen.attestations["trial"].eq(one.trial)]) for one in seen.attempts[:2]]
    assert [len(proofs.refused(rows)) for _, rows in trials] == [0, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a layout that it had to give up
        sketch = attestation_figures.over_time(trials, {}, seen.names)
        assert sketch is not None
        sketch.drawn(pdf=True)


@pytest.mark.parametrize("form", ["html", "md", "tex"])
def test_every_format_has_all_of_it(whole: Document, form: str) -> None:
    text = render.text(whole, form)
    for part in ("What attestation costs", "Where the time goes", "kept its attested identity"):
        assert part in text, part
    if form == "html":
        found = page.read(text)
        assert len(page.rows(found, "attestation-steps")) == 13
        assert page.external(found) == []


def test_a_figure_is_the_same_twice(seen: Material, whole: Document) -> None:
    (kept,) = [figure for figure in whole.figures if figure.key == "attestation-parts-chart"]
    sketch = attestation_figures.stacked(proofs.counted(seen.attestations))
    assert sketch is not None
    assert sketch.drawn() == kept
