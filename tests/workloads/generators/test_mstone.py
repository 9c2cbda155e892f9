"""mstone's files: exactly on a real run whose server stood still, and every invalid run with its reason."""

from __future__ import annotations

import random
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.contract import Timeline
from harness.workloads.generators import mstone
from tests.workloads.generators.stamped import SAMPLES, SITE, S, run, stamped, texts, well_formed

RESULTS = texts("mstone-4.9.4", "results.txt")
SERIES = texts("mstone-4.9.4", "time-SMTP.csv")
CLIENTS = texts("mstone-4.9.4", "clients-localhost.csv")
LOAD = mstone.Load(clients=5, rate=10, size_kib=8)


def output(
    results: list[str] = RESULTS, series: list[str] = SERIES, clients: list[str] = CLIENTS, status: str = "0"
) -> list[str]:
    begin = [
        "== started 1795298141.5",
        "Mstone version 4.9.4",
        "Starting 1 x 5 on localhost",
        "Processing done",
    ]
    files = ["== results.txt", *results, "== time-SMTP.csv", *series, "== clients-localhost.csv", *clients]
    return [*begin, f"== ended {status}", *files, "== done"]


OUTPUT = output()


def parse(said: list[str]) -> Timeline:
    return mstone.parse(stamped(said, first_ns=0), clients=5, error_limit=0.01)


def test_the_real_run_with_a_stall_of_four_seconds() -> None:
    timeline = parse(OUTPUT)
    assert not timeline.problems
    # Rows 0 to 28: the two after them are mstone's own end.
    assert len(timeline.samples) == 29
    works = [sample.work for sample in timeline.samples]
    assert works[:4] == [28, 66, 103, 110] and works[14:19] == [9, 0, 0, 0, 105]
    assert sum(works) == 2642
    # mstone said that it starts its clients at 2 s; row 0 ends a second later.
    assert [sample.t_ns // S for sample in timeline.samples] == list(range(3, 32))
    assert timeline.samples[18].latency_s == pytest.approx(0.232370847619048)
    assert timeline.samples[15].latency_s is None
    assert {sample.lost for sample in timeline.samples} == {0}
    assert timeline.summary == pytest.approx(
        {
            "tries": 21136,
            "errors": 0,
            "messages": 2642,
            "mean_s": 0.052,
            "max_s": 4.036,
            "clock_uncertainty_s": 2,
        }
    )
    assert (timeline.work_unit, timeline.period_s) == ("messages", 1.0)


def test_columns_are_found_by_their_names() -> None:
    names = SERIES[0].split(",")
    order = list(range(len(names)))
    random.Random(3).shuffle(order)
    turned = [",".join(row.split(",")[place] for place in order) for row in SERIES]
    assert parse(output(series=turned)).samples == parse(OUTPUT).samples


def changed(texts: list[str], old: str, new: str) -> list[str]:
    assert any(old in text for text in texts)
    return [text.replace(old, new) for text in texts]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], "mstone was not started"),
        (["mktemp: failed: No space left"], "No space left"),
        (OUTPUT[:4], "did not end by itself"),
        (output(status="2"), "ended with status 2"),
        (output(changed(RESULTS, "5 of 5", "3 of 5")), "3 of 5 clients reported"),
        (output(changed(RESULTS, "5 of 5", "4 of 4")), "4 of 4 clients reported, 5 were asked for"),
        (output(changed(RESULTS, "SMTP:total ", "SMTP/total ")), "not of mstone 4.9: total"),
        (output(changed(RESULTS, "Number of reporting", "Reporting")), "not of mstone 4.9"),
        (output(results=[]), "wrote no results.txt"),
        (output(series=[]), "wrote no time-SMTP.csv"),
        (output(clients=[]), "no client left its own results"),
        (output(clients=CLIENTS[:1]), "no client left its own results"),
        (output(series=changed(SERIES, "SMTP:submit:Try", "SMTP:send:Try")), "SMTP:submit:Try is missing"),
        (output(series=[*SERIES[:9], SERIES[9][:40], *SERIES[10:]]), "1 rows of time-SMTP.csv are torn"),
        (output(series=[*SERIES[:9], *SERIES[3:]]), "does not count up"),
        (
            output(changed(RESULTS, "21136            0", "21136          900")),
            "900 of 21136 tries failed (4.3%)",
        ),
    ],
)
def test_an_invalid_run_is_named(said: list[str], named: str) -> None:
    problems = parse(said).problems
    assert any(named in problem for problem in problems), problems


def test_what_its_client_complained_of_is_the_cause() -> None:
    complaints = [
        "vm[12010]\tt=1795805784: mailclient (4.9.4 built Nov 27 2026 18:50:18)",
        "vm[12010]\tt=1795805784: procs=1 threads=2 seconds=14 ramptime=2 seed=1795816626",
        "vm[12010]\tt=1795805784: there is no entry for tcp",
        "vm[12010]\tt=1795805784 EXITING: no host can be named",
    ]
    said = [*output(results=[], series=[], clients=[], status="255"), "== stderr", *complaints]
    problems = parse(said).problems
    assert problems[:3] == (
        "mstone's client said: there is no entry for tcp",
        "mstone's client said: no host can be named",
        "mstone ended with status 255",
    )
    assert all(len(problem) < 120 for problem in problems)
    valid = [*OUTPUT[:-1], "== stderr", *complaints]
    assert not parse(valid).problems, "in a valid run a client may complain"


def test_without_its_own_word_mstones_begin_is_the_mark() -> None:
    said = [text for text in OUTPUT if not text.startswith("Starting")]
    assert parse(said).samples[0].t_ns == 0 + S


@given(st.lists(st.one_of(st.text(), st.sampled_from(OUTPUT))))
def test_arbitrary_output_never_raises(said: list[str]) -> None:
    timeline = parse(said)
    assert timeline.problems or timeline.samples
    assert all(sample.work >= 0 for sample in timeline.samples)


@given(st.integers(min_value=0, max_value=len(OUTPUT) - 1), st.integers(min_value=0, max_value=200))
def test_truncated_output_is_never_valid_with_less(lines: int, characters: int) -> None:
    said = [*OUTPUT[:lines], OUTPUT[lines][:characters]]
    timeline = parse(said)
    if not timeline.problems:
        assert timeline.samples == parse(OUTPUT).samples


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(OUTPUT), max_size=5))
def test_shuffled_and_doubled_lines_never_raise(generator: random.Random, doubled: list[str]) -> None:
    said = [*OUTPUT, *doubled]
    generator.shuffle(said)
    assert all(sample.work >= 0 for sample in parse(said).samples)


@given(st.lists(st.binary(max_size=60)))
def test_binary_output_is_a_problem(chunks: list[bytes]) -> None:
    assert parse([chunk.decode("latin-1") for chunk in chunks]).problems


def test_the_command_is_well_formed_and_says_its_units() -> None:
    process = mstone.process(SITE, LOAD)
    assert well_formed(process.command) and well_formed(f"sh -c {shlex.quote(process.command)}")
    # 5 ramp, 30 settling, 10 baseline, 120 window, 20 margin.
    assert "-t 185s -r 5s -l 5 FREQUENCY=1" in process.command
    assert "server 198.18.0.1\n" in process.command and "blockTime 500\n" in process.command
    assert not any(block in process.command for block in ("MONITOR", "PRETEST", "POSTTEST"))
    assert process.machine == "client" and process.finish_s > 60


def test_the_command_in_a_real_shell_prints_what_mstone_left(tmp_path: Path) -> None:
    home = tmp_path / "mstone"
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "results" / "20010101.0000").mkdir(parents=True)
    (home / "results" / "20010101.0000" / "results.txt").write_text("old")
    (home / "bin" / "mailclient").write_text("#!/bin/sh\n")
    (home / "bin" / "mailmaster.pl").write_text(
        'print "Starting 1 x 5 on localhost\\n";\n'
        'die "no message" unless -s "sodbench.msg" > 7000 and -s "mailclient";\n'
        "open(W, 'sodbench.wld'); my $all = join '', <W>; die $all if $all =~ /\\@WORK\\@/;\n"
        f"system('mkdir -p results/20261121.2155; cp {SAMPLES}/mstone-4.9.4/* results/20261121.2155/');\n"
    )
    said = run(mstone.process(SITE, LOAD), **{mstone.HOME: home})
    timeline = parse(said)
    assert not timeline.problems, said
    assert sum(sample.work for sample in timeline.samples) == 2642
    assert (home / "results" / "20010101.0000" / "results.txt").read_text() == "old"


def test_without_mstone_the_command_says_so(tmp_path: Path) -> None:
    problems = parse(run(mstone.process(SITE, LOAD), **{mstone.HOME: tmp_path / "nowhere"})).problems
    assert any("nowhere" in problem for problem in problems)
