"""Durations of attestations: what goes in comes out, and what was not stamped is missing with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis import table as results
from harness.attest.measures import line as record
from harness.attest.measures import table as attestation_table
from harness.attest.measures import timings
from harness.attest.measures.line import Answered, Attestation, Continuity, Stamps, Vouched
from harness.clock import ClockOffset
from harness.errors import RecordError
from harness.evidence.clocks import Clocks
from harness.evidence.folder import RunFolder
from tests.synthetic import evidence
from tests.synthetic.attestations import Attested, all_records, build, gated, truth_ms, write
from tests.synthetic.truths import AttemptTruth, Layout, MigrationTruth, Truths

MS = 1_000_000
NONE = Clocks()
STAMPS = Stamps(NS=1_000 * MS, ER=1_010 * MS, RG=1_013 * MS, RR=1_014 * MS, RA=1_016 * MS, OP=1_100 * MS)
HOST = Answered(machine="a", received=502 * MS, quoting=503 * MS, EG=507 * MS, answered=508 * MS)
SMALL = Truths(
    baseline_s=6.0,
    window_s=20.0,
    heartbeat_hz=50.0,
    attempts=(
        AttemptTruth(
            workload="idle", migrations=(MigrationTruth(planned_s=4.0), MigrationTruth(planned_s=12.0))
        ),
        AttemptTruth(workload="file", migrations=(MigrationTruth(planned_s=4.0),)),
        AttemptTruth(workload="file", kind="control", migrations=(), points_s=(4.0,)),
    ),
)
ATTESTED = Attested(interval_s=1.0, refused={(0, 9): "pcr-value"}, unanswered={(0, 10): "timed-out"})


def one(**changes: Any) -> Attestation:
    known: dict[str, Any] = {
        "n": 1, "subject": "a", "kind": "host", "key": "ecc-p256", "purpose": "interval", "tier": "affirming",
        "reason": "accepted", "stamps": STAMPS, "attester": HOST,
    }  # fmt: skip
    return Attestation(**{**known, **changes})


def clocks(machine: str, offset_ns: int, uncertainty_ns: int, *, same_kernel: bool = False) -> Clocks:
    offset = ClockOffset(
        machine=machine, monotonic_offset_ns=offset_ns, realtime_offset_ns=0, uncertainty_ns=uncertainty_ns,
        same_kernel=same_kernel,
    )  # fmt: skip
    return Clocks({machine: ((0, offset),)})


def linked() -> Attestation:
    guest = Answered(machine="guest", received=10 * MS, quoting=11 * MS, EG=13 * MS, answered=14 * MS)
    host = Vouched(
        machine="b", received=5 * MS, quoting=5 * MS, EG=8 * MS, answered=9 * MS, NS=1_011 * MS, ER=1_017 * MS
    )
    stamps = Stamps(NS=1_000 * MS, ER=1_010 * MS, RG=1_020 * MS)
    return one(subject="guest", kind="linked", host="b", attester=guest, second=host, stamps=stamps)


def test_the_parts_of_a_hosts_attestation() -> None:
    timing = timings.of(one(), NONE)
    assert timing.first is not None
    assert (timing.first.quote_ns, timing.first.attester_ns, timing.first.transport_ns) == (
        4 * MS,
        2 * MS,
        4 * MS,
    )
    assert (timing.verification_ns, timing.relay_ns, timing.appraisal_ns) == (3 * MS, 1 * MS, 2 * MS)
    assert (timing.latency_ns, timing.response_ns) == (13 * MS, 87 * MS)
    assert timing.linking_ns is None and timing.second is None
    assert timing.missing == ()


def test_a_linked_attestation_is_the_sum_of_its_parts() -> None:
    timing = timings.of(linked(), NONE)
    assert timing.first is not None and timing.second is not None
    parts = [
        part
        for exchange in (timing.first, timing.second)
        for part in (exchange.quote_ns, exchange.attester_ns, exchange.transport_ns)
    ]
    assert timing.linking_ns == 1 * MS
    assert timing.verification_ns == 3 * MS  # from the last evidence on
    assert timing.latency_ns == sum(parts) + timing.linking_ns + timing.verification_ns


def test_evidence_is_generated_between_question_and_answer() -> None:
    timing = timings.of(one(), NONE)
    assert timing.first is not None
    found = timing.first.generated
    assert (found.at_ns, found.uncertainty_ns, found.by) == (1_007 * MS, 2 * MS, "exchange")
    assert (timing.age_ns, timing.age_uncertainty_ns) == (93 * MS, 2 * MS)


@pytest.mark.parametrize(
    ("offset_ms", "width_ms", "at_ms", "uncertainty_ms", "by"),
    [
        (499.0, 0.5, 1006.0, 0.5, "clock"),  # narrower than the exchange
        (498.0, 0.5, 1005.25, 0.25, "clock"),  # on its edge: the exchange cuts it
        (500.0, 9.0, 1007.0, 2.0, "exchange"),  # wider
        (530.0, 0.5, 1007.0, 2.0, "exchange"),  # contradicts the exchange: the clock stepped since
    ],
)
def test_a_sampled_clock_narrows_that_where_it_agrees(
    offset_ms: float, width_ms: float, at_ms: float, uncertainty_ms: float, by: str
) -> None:
    sampled = clocks("a", round(offset_ms * MS), round(width_ms * MS))
    found = timings.generated(HOST, STAMPS.NS, 1_010 * MS, sampled)
    assert (found.at_ns / MS, found.uncertainty_ns / MS, found.by) == (at_ms, uncertainty_ms, by)


def test_on_the_controllers_kernel_nothing_is_uncertain() -> None:
    found = timings.generated(HOST, STAMPS.NS, 1_010 * MS, clocks("a", 499 * MS, 50_000, same_kernel=True))
    assert (found.at_ns, found.uncertainty_ns, found.by) == (1_006 * MS, 0, "clock")


def test_samples_of_a_guests_clock_are_not_believed() -> None:
    guest = HOST.model_copy(update={"machine": "guest"})
    found = timings.generated(guest, STAMPS.NS, 1_010 * MS, clocks("guest", 499 * MS, 100))
    assert found.by == "exchange"


@given(
    there=st.integers(0, 10**9), back=st.integers(0, 10**9), busy=st.integers(0, 10**9),
    tail=st.integers(0, 10**9), offset=st.integers(-(10**12), 10**12), error=st.integers(-(10**6), 10**6),
)  # fmt: skip
def test_the_truth_lies_within_the_uncertainty(
    there: int, back: int, busy: int, tail: int, offset: int, error: int
) -> None:
    sent = 10**13
    truth = sent + there + busy
    own = [moment - offset for moment in (sent + there, sent + there, truth, truth + tail)]
    answered = Answered(machine="a", received=own[0], quoting=own[1], EG=own[2], answered=own[3])
    sampled = clocks("a", offset + error, abs(error))
    for known in (NONE, sampled):
        found = timings.generated(answered, sent, truth + tail + back, known)
        assert abs(found.at_ns - truth) <= found.uncertainty_ns <= (there + back + 1) // 2


def test_what_nobody_answered_is_missing_with_its_reason() -> None:
    silent = one(tier="none", reason="timed-out", stamps=Stamps(NS=5), attester=None)
    timing = timings.of(silent, NONE)
    numbers = (timing.latency_ns, timing.first, timing.verification_ns, timing.age_ns, timing.response_ns)
    assert numbers == (None,) * 5
    assert timing.missing == ("no evidence: timed-out", "no result: timed-out", "no operation relied on it")


def test_a_verdict_on_silence_has_no_verification() -> None:
    timing = timings.of(one(tier="none", reason="timed-out", stamps=Stamps(NS=5, RG=9), attester=None), NONE)
    assert (timing.latency_ns, timing.verification_ns) == (4, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"quoting": 1}, "the stamps of a are out of order"),
        ({"answered": 900 * MS}, "the clock of a counted more than passed until its answer"),
    ],
)
def test_stamps_that_cannot_be_are_no_durations(changes: Mapping[str, int], why: str) -> None:
    timing = timings.of(one(attester=HOST.model_copy(update=changes)), NONE)
    assert timing.first is None and timing.age_ns is None
    assert why in timing.missing


def test_without_the_hosts_quote_a_linked_attestation_says_so() -> None:
    timing = timings.of(linked().model_copy(update={"second": None, "reason": "tpm-busy"}), NONE)
    assert timing.linking_ns is None
    assert "no quote of the host: tpm-busy" in timing.missing


@pytest.mark.parametrize(
    ("spans", "phase"),
    [
        ([], "before"),
        ([(1_014, 1_020)], "before"),
        ([(1_013, 1_020)], "during"),
        ([(900, 1_000)], "during"),
        ([(1_002, 1_003)], "during"),
        ([(900, 999)], "after"),
        ([(900, 999), (1_050, 1_060)], "after"),
        ([(900, 999), (1_001, 1_060)], "during"),
    ],
)
def test_where_in_the_trial_it_lies(spans: list[tuple[int, int]], phase: str) -> None:
    """From nonce (1000 ms) to result (1013 ms); the operation at 1100 ms does not count."""
    assert timings.phase(one(), [(first * MS, last * MS) for first, last in spans]) == phase


def test_steps_of_both_quotes_are_added() -> None:
    found = timings.steps(one(steps=(("1 structure", 3), ("4 signature", 5), ("1 structure", 4))))
    assert list(found.items()) == [("1 structure", 7), ("4 signature", 5)]


def test_a_line_is_read_back_equal(tmp_path: Path) -> None:
    moved = Continuity(
        reason="accepted", tier="affirming", window_ns=7, same_key=True, source="a", destination="b"
    )
    kept = (one(), linked().model_copy(update={"continuity": moved, "n": 2}))
    path = tmp_path / record.FILE
    path.write_text("".join(each.to_line() for each in kept) + '{"n": 3, "subj')
    assert record.read(path) == kept
    assert '"from":"a","to":"b"' in path.read_text()
    assert record.read(tmp_path / "none") == ()


@pytest.mark.parametrize(
    "line", ["", "{}", '{"n": 1, "surprise": 2}', one().to_line().replace('"n":1', '"n":"1"').strip()]
)
def test_a_damaged_line_names_itself(tmp_path: Path, line: str) -> None:
    path = tmp_path / record.FILE
    path.write_text(f"{one().to_line()}{line}\n{one().to_line()}")
    with pytest.raises(RecordError, match=r"attestations\.jsonl:2"):
        record.read(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return build(tmp_path_factory.mktemp("results") / "demo" / "20260921T141320Z-abc123", SMALL, ATTESTED)


@pytest.fixture(scope="module")
def table(run: RunFolder) -> pd.DataFrame:
    return results.attestations(run)


def test_one_row_an_attestation_with_the_injected_durations(table: pd.DataFrame) -> None:
    truths = list(all_records(SMALL, ATTESTED))
    assert len(table) == len(truths)
    checked = 0
    for (_, row), (at, line) in zip(table.iterrows(), truths, strict=True):
        assert (row["trial"], row["n"], row["kind"]) == (at.trial, line.n, line.kind)
        if line.attester is None or (line.subject == "guest" and row["phase"] == "during"):
            continue  # the switch-over adds to the way
        parts = truth_ms(at, ATTESTED, line.n, line.stamps.NS, line.key)
        for part in ("transport", "attester", "quote", "verification"):
            assert row[f"{part}_s"] * 1e3 == pytest.approx(parts[part], abs=1e-5), part
        checked += 1
    assert checked > 100


def test_the_parts_add_up_to_the_latency(table: pd.DataFrame) -> None:
    names = ["transport_s", "attester_s", "quote_s", "linking_s", "verification_s"]
    names += [f"second_{name}" for name in names[:3]]
    known = table[table["latency_s"].notna()]
    assert known[names].sum(axis=1).to_list() == pytest.approx(known["latency_s"].to_list(), abs=1e-9)


def test_the_age_of_a_destinations_evidence_is_true_within_its_uncertainty(table: pd.DataFrame) -> None:
    gates = table[table["purpose"].eq("gate") & table["kind"].eq("host")]
    truths = {(at.trial, line.n): (at, line) for at, line in all_records(SMALL, ATTESTED)}
    assert len(gates) == 3
    for _, row in gates.iterrows():
        at, line = truths[row["trial"], row["n"]]
        true_s = (at.span(row["migration"]).start_ns - gated(at, line)) / 1e9
        assert abs(row["age_s"] - true_s) <= row["age_uncertainty_s"] + 1e-9
        assert row["EG_from"] == "clock"


def test_a_guests_evidence_is_mapped_by_the_exchange(table: pd.DataFrame) -> None:
    guests = table[table["subject"].eq("guest") & table["EG"].notna()]
    assert set(guests["EG_from"]) == {"exchange"}
    assert (guests["EG"] >= guests["NS"]).all() and (guests["EG"] <= guests["ER"]).all()


def test_phases_are_those_of_the_attempt(table: pd.DataFrame) -> None:
    assert set(table[table["trial_kind"].eq("control")]["phase"]) == {"before"}
    idle = table[table["trial"].eq("001-idle")]
    at = Layout(SMALL, 0)
    assert set(idle["phase"]) == {"before", "during", "after"}
    first, last = at.span(1).start_ns, at.span(1).returned_ns
    inside = idle[idle["NS"].between(first, last)]
    assert set(inside["phase"]) == {"during"}


def test_null_is_null_with_a_reason_and_never_zero(table: pd.DataFrame) -> None:
    (silent,) = [row for _, row in table.iterrows() if row["reason"] == "timed-out"]
    assert pd.isna(silent["latency_s"]) and pd.isna(silent["EG"]) and "no evidence" in silent["missing"]
    assert (table["latency_s"].dropna() > 0).all()
    assert table[table["OP"].isna()]["missing"].notna().all()
    assert table[table["OP"].isna()]["age_s"].isna().all()


def test_the_tpm_stands_beside_every_number(table: pd.DataFrame) -> None:
    assert set(table["tpm"]) == {"software"} and set(table["access"]) == {"ESAPI"}
    assert (table["host_tpm"].notna() == table["kind"].eq("linked")).all()


def test_what_was_not_recorded_of_the_tpm_stays_unknown(tmp_path: Path) -> None:
    table = results.attestations(build(tmp_path / "run", SMALL, Attested(events=False)))
    assert table[["tpm", "host_tpm", "access", "tpm_firmware"]].isna().all(axis=None)


def test_both_files_are_written_and_the_same_twice(run: RunFolder) -> None:
    paths = [run.root / f"attestations.{suffix}" for suffix in ("parquet", "csv")]
    results.write(run)
    first = [path.read_bytes() for path in paths]
    results.write(run)
    assert [path.read_bytes() for path in paths] == first
    assert list(pd.read_csv(paths[1]).columns) == list(attestation_table.COLUMNS)
    assert len(pd.read_parquet(paths[0])) == len(results.attestations(run))


def test_a_run_without_attestations_has_neither_file(tmp_path: Path) -> None:
    run = evidence.build(tmp_path / "run", SMALL)
    results.write(run)
    assert {path.name for path in run.root.iterdir() if path.suffix in (".csv", ".parquet")} == {
        "metrics.csv",
        "metrics.parquet",
    }
    assert results.attestations(run).empty


def test_attempts_that_were_not_finished_are_left_out(tmp_path: Path) -> None:
    truths = Truths(window_s=10.0, attempts=(AttemptTruth(finished=False, migrations=()),))
    run = build(tmp_path / "run", truths)
    assert results.attestations(run).empty


def test_a_migration_that_never_returned_lasts_to_the_windows_end(tmp_path: Path) -> None:
    run = build(tmp_path / "run", SMALL, ATTESTED)
    text = run.journal.read_text().splitlines()
    kept = [line for line in text if not ('"migration.returned"' in line and '"n":2' in line)]
    run.journal.write_text("".join(f"{_numbered(at, line)}\n" for at, line in enumerate(kept)))
    table = results.attestations(run)
    late = table[table["trial"].eq("001-idle") & table["NS"].gt(Layout(SMALL, 0).span(2).start_ns)]
    closed = Layout(SMALL, 0).closed_ns
    assert set(late[late["NS"].lt(closed)]["phase"]) == {"during"}


def _numbered(at: int, line: str) -> str:
    return f'{{"seq":{at},{line.partition(",")[2]}'


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    run = build(tmp_path / "run", SMALL, ATTESTED)
    at = Layout(SMALL, 0)
    write(run, at, [])
    (run.attempt(at.trial, 1) / record.FILE).write_text("{}\n")
    with pytest.raises(RecordError, match="001-idle"):
        results.attestations(run)


def test_skipped_migrations_are_under_way_at_no_time(tmp_path: Path) -> None:
    moves = (MigrationTruth(planned_s=4.0, skipped="the last one was still under way"),)
    truths = Truths(window_s=10.0, attempts=(AttemptTruth(migrations=moves),))
    table = results.attestations(build(tmp_path / "run", truths, Attested(interval_s=1.0)))
    assert set(table["phase"]) == {"before"}
