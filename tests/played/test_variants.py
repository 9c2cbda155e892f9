"""A played campaign with variants: each trial runs under its own, and no number is of two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis import comparison, stored
from harness.analysis.comparability import Side
from harness.evidence import journal
from harness.evidence.account import accounts
from harness.evidence.events import LinkHeld, MigrationStarted
from harness.evidence.folder import RunFolder, read_manifest
from harness.report import compose, material, variants
from harness.report.document.model import Answer, Table
from harness.report.material import Material
from tests import tables
from tests.played import campaigns
from tests.report import unpainted

TEXT = """\
name: small
workloads: [idle]
repetitions: 3
variants:
  plain: {}
  narrow: {migration: {bandwidth_mib_s: 32, tls: false}}
schedule: {window_s: 8, baseline_s: 2, points_s: [0, 4]}
heartbeat: {rate_hz: 10}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = campaigns.begin(tmp_path_factory.mktemp("played"), TEXT)
    assert campaigns.carry_out(run, TEXT) is not None
    return run


@pytest.fixture(scope="module")
def seen(run: RunFolder) -> Material:
    return material.read(run)


def test_each_attempt_says_its_variant(run: RunFolder) -> None:
    told = accounts(journal.read(run.journal))
    assert sorted(one.variant or "" for one in told) == ["narrow"] * 3 + ["plain"] * 3
    assert all(one.all(MigrationStarted) for one in told)


def test_each_migration_is_encrypted_as_its_variant_says(run: RunFolder) -> None:
    assert read_manifest(run)["migration_tls"] == {"plain": True, "narrow": False}
    told = accounts(journal.read(run.journal))
    found = {(one.variant, move.options["tls"]) for one in told for _, move in one.told(MigrationStarted)}
    assert found == {("plain", True), ("narrow", False)}


def test_the_table_has_a_column_for_it(run: RunFolder, tmp_path: Path) -> None:
    table = tables.read(run)
    assert set(table["variant"]) == {"plain", "narrow"}
    assert table.groupby("trial")["variant"].nunique().eq(1).all()
    plain = campaigns.begin(tmp_path)
    campaigns.carry_out(plain)
    assert "variant" not in tables.read(plain)


def test_the_report_has_a_row_for_each(seen: Material) -> None:
    assert seen.workloads == ["idle+plain", "idle+narrow"]
    assert variants.in_order([*seen.attempts][::-1], seen.comparisons) == ["idle+plain", "idle+narrow"]
    with unpainted.figures():
        (costs,) = [one for one in compose.document(seen).sections if one.key == "migration"]
    answers = [block for block in costs.blocks if isinstance(block, Answer)]
    assert [one.subject for one in answers] == ["idle+plain", "idle+narrow"]
    assert not any("paper" in one.text for one in answers)
    assert seen.valid.groupby("workload")["trial"].nunique().to_dict() == {"idle+narrow": 3, "idle+plain": 3}


def test_a_run_that_was_interrupted_goes_on_under_its_variants(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, TEXT)
    done: list[str] = []

    class StoppedError(Exception):
        pass

    def stop(event: journal.Event) -> None:
        if event.kind == "attempt.finished":
            done.append(str(event.trial))
            if len(done) == 2:
                raise StoppedError

    with pytest.raises(StoppedError):
        campaigns.carry_out(run, TEXT, listener=stop)
    assert campaigns.carry_out(run, TEXT) is not None
    found = {one.trial: one.variant for one in accounts(journal.read(run.journal))}
    assert sorted(str(one) for one in found.values()) == ["narrow"] * 3 + ["plain"] * 3


def test_the_report_answers_first_what_the_variants_change(seen: Material) -> None:
    with unpainted.figures():
        first = compose.document(seen).body[0]
    (table,) = [block for block in first.blocks if isinstance(block, Table)]
    assert first.title == "What do the variants change?"
    assert [row[1].text for row in table.rows] == ["plain", "narrow"]
    assert [row[2].text for row in table.rows] == ["3", "3"]


def test_its_rows_are_those_of_compare(run: RunFolder, seen: Material) -> None:
    (compared,) = seen.comparisons
    plain, narrow = (Side(run=run, variant=name) for name in ("plain", "narrow"))
    table = stored.table(run)
    assert (compared.first, compared.second) == ("plain", "narrow")
    expected = comparison.rows(comparison.values(plain, table), comparison.values(narrow, table))
    assert list(compared.rows) == expected
    assert any(row.primary for row in compared.rows)


def test_the_link_is_held_for_the_variant_that_asks_for_it(tmp_path: Path) -> None:
    text = TEXT.replace(
        "narrow: {migration: {bandwidth_mib_s: 32, tls: false}}", "slow: {link_bit_s: 250000000}"
    )
    run = campaigns.begin(tmp_path, text)
    assert campaigns.carry_out(run, text) is not None
    told = accounts(journal.read(run.journal))
    held = {(one.variant, value.rate_bit_s) for one in told for _, value in one.told(LinkHeld)}
    assert held == {("slow", 250_000_000)}
    assert all(one.counts for one in told)
