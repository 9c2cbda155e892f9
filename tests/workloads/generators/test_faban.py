"""fhb's files: exactly on real runs, both styles of percentiles, and every invalid run with its reason."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import WorkloadError
from harness.workloads.contract import Line, Timeline
from harness.workloads.generators import faban
from harness.workloads.generators.targets import Target
from tests.workloads.generators.stamped import SAMPLES, SITE, S, run, stamped, texts, well_formed

STDOUT = texts("faban-fhb", "stall", "stdout.txt")
SUMMARY = texts("faban-fhb", "stall", "summary.xml")
DETAIL = texts("faban-fhb", "stall", "detail.xan")
LOAD = faban.Load(clients=5, rate=50)
TARGETS = (
    Target(name="static", before="/static/0", after=".html", low=10, high=99, weight=0.7),
    Target(name="browse", before="/shop/browse?q=wool", weight=0.3),
)
COMMENCES = "INFO: Started all threads; run commences in 2500 ms"
# The run began at 21:54:38 UTC, 8.25 s after the mark.
STARTED = "== started 1795298069.75"


def output(
    stdout: list[str] = STDOUT, summary: list[str] = SUMMARY, detail: list[str] = DETAIL, status: str = "0"
) -> list[str]:
    files = ["== summary.xml", *summary, "== detail.xan", *detail]
    return [STARTED, COMMENCES, *stdout, f"== ended {status}", *files, "== done"]


OUTPUT = output()


def parse(said: list[str]) -> Timeline:
    lines: list[Line] = stamped(said)
    return faban.parse(lines, work_unit="requests", error_limit=0.01)


def test_the_real_run_with_a_stall_of_three_seconds() -> None:
    timeline = parse(OUTPUT)
    assert not timeline.problems
    works = [sample.work for sample in timeline.samples]
    assert (len(works), works[:7]) == (25, [47, 36, 40, 20, 0, 0, 30])
    # The log's line arrived at 2 s; the run began 2.5 s later, and its first second was over at 5.5 s.
    assert timeline.samples[0].t_ns == 5.5 * S
    assert timeline.samples[6].latency_s == pytest.approx(0.504836)
    assert timeline.samples[4].latency_s is None
    assert timeline.summary["succeeded"] == 816 and timeline.summary["failed"] == 0
    assert timeline.summary["throughput_per_s"] == pytest.approx(40.8)
    assert (timeline.summary["p90_s"], timeline.summary["p99_s"]) == (0.010, 0.175)
    assert timeline.summary["max_s"] == pytest.approx(3.027)
    assert timeline.summary["clock_uncertainty_s"] == pytest.approx(0.1)


def test_without_a_log_the_time_of_day_places_the_run() -> None:
    timeline = parse([text for text in OUTPUT if text != COMMENCES])
    # The mark arrived at 1 s; the run began 8.25 s later, give or take half a second of Faban's rounding.
    assert timeline.samples[0].t_ns == pytest.approx((1 + 8.25 + 0.5 + 1) * S)
    assert timeline.summary["clock_uncertainty_s"] == 1.0


def test_rows_that_are_not_a_second_apart_are_no_series_of_ours() -> None:
    steady = {
        name: texts("faban-fhb", "steady", name) for name in ("stdout.txt", "summary.xml", "detail.xan")
    }
    timeline = parse(output(steady["stdout.txt"], steady["summary.xml"], steady["detail.xan"]))
    assert list(timeline.problems) == ["detail.xan's rows are not one second apart"]
    assert timeline.summary["succeeded"] == 978


def changed(said: list[str], old: str, new: str) -> list[str]:
    assert any(old in text for text in said)
    return [text.replace(old, new) for text in said]


def test_old_kits_name_percentiles_differently_and_may_not_know_one() -> None:
    old = changed(
        SUMMARY, '<percentile nth="90" suffix="th" limit="1.000">0.010</percentile>', "<p90th>0.010</p90th>"
    )
    off = changed(
        old, '<percentile nth="99" suffix="th" limit="1.000">0.175<', '<percentile nth="99">&gt;1.5<'
    )
    timeline = parse(output(summary=off))
    assert not timeline.problems
    assert timeline.summary["p90_s"] == 0.010 and "p99_s" not in timeline.summary


def test_operations_are_summed_and_their_times_weighted() -> None:
    detail = [
        "Section: http_driver1 Throughput",
        "Time (s)  a  b",
        "0  3.00  1.00",
        "1  0.00  2.00",
        "2  0 0",
    ]
    detail += [
        "Section: http_driver1 Response Times (seconds)",
        "Time (s) a b",
        "0 0.1 0.5",
        "1 0 0.25",
        "2 0 0",
    ]
    samples = parse(output(detail=detail)).samples
    assert [(sample.work, sample.latency_s) for sample in samples] == [(4, pytest.approx(0.2)), (2, 0.25)]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], "Faban was not started"),
        (["sh: 1: sodbench-fhb: not found"], "not found"),
        (OUTPUT[:6], "did not end by itself"),
        (output(status="1"), "ended with status 1"),
        (output([*STDOUT, "WARNING: Little's law verification results low: 5 users"]), "Little's law"),
        (output([*STDOUT, "ERROR: Little's law verification failed"]), "Little's law"),
        (output(["Exception in thread main java.net.ConnectException"]), "ConnectException"),
        (output(summary=[]), "wrote no summary.xml"),
        (output(detail=[]), "wrote no detail.xan"),
        (output(summary=SUMMARY[:20]), "is no XML"),
        (output(summary=["<results/>"]), "not of a Faban that is known"),
        (output(summary=['<!DOCTYPE a [<!ENTITY b "c">]>', *SUMMARY]), "declares entities"),
        (output(summary=changed(SUMMARY, "rtXtps", "rt")), "no users_by_littles_law"),
        (
            output(summary=changed(SUMMARY, "<failures>0<", "<failures>90<")),
            "90 of 906 requests failed (9.9%)",
        ),
        (output(summary=changed(SUMMARY, "<successes>816<", "<successes>0<")), "completed no requests"),
        (output(detail=changed(DETAIL, "Throughput", "Rate")), "no section of throughput"),
        (OUTPUT[2:], "Faban was not started"),
    ],
)
def test_an_invalid_run_is_named(said: list[str], named: str) -> None:
    problems = parse(said).problems
    assert any(named in problem for problem in problems), problems


@given(st.lists(st.one_of(st.text(), st.sampled_from(OUTPUT))))
def test_arbitrary_output_never_raises(said: list[str]) -> None:
    timeline = parse(said)
    assert timeline.problems or timeline.samples


@given(st.text())
def test_any_summary_never_raises(text: str) -> None:
    assert parse(output(summary=[text])).problems


@given(st.integers(min_value=0, max_value=len(OUTPUT) - 1), st.integers(min_value=0, max_value=80))
def test_truncated_output_never_raises_and_invents_nothing(lines: int, characters: int) -> None:
    part = parse([*OUTPUT[:lines], OUTPUT[lines][:characters]])
    if not part.problems:
        assert {sample.t_ns for sample in part.samples} <= {sample.t_ns for sample in parse(OUTPUT).samples}


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(OUTPUT), max_size=5))
def test_shuffled_and_doubled_lines_never_raise(generator: random.Random, doubled: list[str]) -> None:
    said = [*OUTPUT, *doubled]
    generator.shuffle(said)
    assert all(sample.work >= 0 for sample in parse(said).samples)


def test_the_run_file_is_xml_that_faban_takes() -> None:
    fa, fd = "{http://faban.sunsource.net/ns/faban}", "{http://faban.sunsource.net/ns/fabandriver}"
    root = ET.fromstring(faban.run_file(SITE, LOAD, 80, TARGETS))
    assert [
        root.findtext(f"{fa}runControl/{fa}{name}") for name in ("rampUp", "steadyState", "rampDown")
    ] == [
        "5",
        "190",
        "2",
    ]
    driver = root.find(f"{fd}driverConfig")
    assert driver is not None
    assert (driver.findtext(f"{fd}threads"), driver.findtext(f"{fd}stats/{fd}interval")) == ("5", "1")
    assert driver.findtext(f"{fd}requestLagTime/{fd}uniform/{fd}cycleMin") == "100"
    urls = [each.findtext(f"{fd}url") for each in driver.findall(f"{fd}operation")]
    assert urls == ["http://198.18.0.1:80/static/0", "http://198.18.0.1:80/shop/browse?q=wool"]
    gets = [each.find(f"{fd}get") for each in driver.findall(f"{fd}operation")]
    assert [(get.get("subst"), get.text or "") for get in gets if get is not None] == [
        ("true", "@@faban.getRandomInt(10,99)@@.html"),
        ("false", ""),
    ]
    mix = [[part.text or "" for part in each] for each in driver.findall(f"{fd}operationMix")]
    assert [share for _, share in mix] == ["0.7", "0.3"]
    named = [each.findtext(f"{fd}name") for each in driver.findall(f"{fd}operation")]
    assert [name for name, _ in mix] == named


# The Java Language Specification, sections 3.8 to 3.10 and 4.3.2.
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
RESERVED = re.findall(
    r"\S+",
    """
    abstract assert boolean break byte case catch char class const continue default do double else
    enum extends final finally float for goto if implements import instanceof int interface long
    native new package private protected public return short static strictfp super switch
    synchronized this throw throws transient try void volatile while _ true false null
    clone equals finalize getClass hashCode notify notifyAll toString wait
    """,
)
NAMES = st.one_of(st.text(min_size=1), st.sampled_from(RESERVED), st.text("_x0e9$-", min_size=1, max_size=8))


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_whatever_a_target_is_called_its_operation_is_a_method_of_its_own(names: list[str]) -> None:
    targets = [Target(name=name, before="/") for name in names]
    root = ET.fromstring(faban.run_file(SITE, LOAD, 80, targets))
    space = "{http://faban.sunsource.net/ns/fabandriver}"
    driver = root.find(f"{space}driverConfig")
    assert driver is not None
    found = [each.findtext(f"{space}name") or "" for each in driver.findall(f"{space}operation")]
    assert len(set(found)) == len(names)
    assert all(IDENTIFIER.fullmatch(name) and name not in RESERVED for name in found), found
    assert [int(each.findtext(f"{space}kbps") or "") for each in driver.findall(f"{space}operation")] == [
        -1 for _ in names
    ]


def test_two_targets_of_one_name_are_refused() -> None:
    twice = [Target(name="page", before="/a"), Target(name="page", before="/b")]
    with pytest.raises(WorkloadError, match="two targets are called 'page'"):
        faban.run_file(SITE, LOAD, 80, twice)


@pytest.mark.parametrize("path", ['/a"b', "/$1", "/a\\b", "/a@@b", "/a b", "/a]]>b", "/\u00e9"])
def test_a_path_reaches_the_driver_as_text_of_java_and_not_as_code(path: str) -> None:
    root = ET.fromstring(faban.run_file(SITE, LOAD, 80, [Target(name="odd", before=path, after=path)]))
    space = "{http://faban.sunsource.net/ns/fabandriver}"
    texts_of = [root.findtext(f".//{space}operation/{space}{name}") or "" for name in ("url", "get")]
    assert all(re.fullmatch(r"[A-Za-z0-9/:.%?=&]+", text) for text in texts_of), texts_of
    assert all(unquote(text).endswith(path) for text in texts_of)


@pytest.mark.parametrize(
    ("complaint", "cause"),
    [
        (
            [
                "Error occurred during initialization of VM",
                "GC triggered before VM initialization completed.",
            ],
            "Faban said: Error occurred during initialization of VM GC triggered before VM initialization "
            "completed.",
        ),
        (
            [
                "SEVERE: Master terminated with errors.",
                'java.lang.NumberFormatException: For input string: ""',
            ],
            "Faban said: SEVERE: Master terminated with errors. java.lang.NumberFormatException: For input "
            'string: ""',
        ),
        (
            ["/tmp/http_driver1.java:68: error: <identifier> expected", "SEVERE: Master terminated."],
            "Faban said: /tmp/http_driver1.java:68: error: <identifier> expected",
        ),
        (["SEVERE: no ratio for op_browse__wool"], "Faban said: SEVERE: no ratio for browse_wool"),
    ],
)
def test_the_first_problem_is_the_cause(complaint: list[str], cause: str) -> None:
    problems = parse([STARTED, *complaint, "== ended 1", "== missing summary.xml", "== done"]).problems
    assert problems[0] == cause
    assert "Faban ended with status 1" in problems
    assert all(len(problem) < 250 for problem in problems[1:])


def test_thousands_of_complaints_are_bounded_and_counted() -> None:
    said = [f"SEVERE: thread {number} died" for number in range(20_000)]
    problems = parse(output([*STDOUT, *said])).problems
    assert len(problems) < 10
    assert "Faban had 19995 more complaints" in problems


def test_failures_are_named_by_target() -> None:
    summary = changed(SUMMARY, "<failures>0<", "<failures>90<")
    summary = [
        text.replace('<operation name="test">', '<operation name="op_browse__wool">') for text in summary
    ]
    problems = parse(output(summary=summary)).problems
    assert list(problems) == [
        "90 of 906 requests failed (9.9%); the limit is 1.0%",
        "failed by target: browse_wool 90",
    ]


def test_the_command_in_a_real_shell_prints_what_fhb_left(tmp_path: Path) -> None:
    process = faban.process(SITE, LOAD, 80, TARGETS)
    assert well_formed(process.command) and well_formed(f"sh -c {shlex.quote(process.command)}")
    assert process.machine == "client" and process.finish_s > 60
    fhb = tmp_path / "fhb"
    fhb.write_text(
        "#!/bin/sh\ngrep -q @WORK@ run.xml && exit 3\n"
        f"mkdir -p out/1 && cp {SAMPLES}/faban-fhb/stall/* out/1/\n"
        f"echo '{COMMENCES}'; cat {SAMPLES}/faban-fhb/stall/stdout.txt\n"
    )
    fhb.chmod(0o755)
    said = run(process, **{faban.FHB: fhb})
    timeline = parse(said)
    assert not timeline.problems, said
    assert len(timeline.samples) == 25


def test_without_faban_the_command_says_so(tmp_path: Path) -> None:
    said = run(faban.process(SITE, LOAD, 80, TARGETS), **{faban.FHB: tmp_path / "nowhere"})
    problems = parse(said).problems
    assert any("ended with status 127" in problem for problem in problems), problems
