"""locust's lines: exactly on real runs, an outage for what it is, and never an exception on anything else."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workloads.contract import Line, Process, Timeline
from harness.workloads.generators import locust
from harness.workloads.generators.targets import Target
from tests.workloads.generators.stamped import SITE, S, as_arrived, stamped, texts, well_formed

STALL = texts("locust-2.47.0", "stall.txt")
INSTALLED = Path(sys.prefix, "locust/bin/python")
"""Where set-up installs locust for this test (Makefile), as the client has it."""

LOAD = locust.Load(users=10, rate=40)
TARGETS = (Target(name="page", before="/it's?n=", low=0, high=9), Target(name="start", before="/"))


def parse(lines: list[Line], limit: float = 0.01) -> Timeline:
    return locust.parse(lines, work_unit="requests", error_limit=limit)


def report(second: int, completed: int = 40, **other: object) -> str:
    return json.dumps({"second": second, "completed": completed, "failed": 0, "late_s": 0.001, **other})


HEAD = json.dumps({"generator": "locust", "format": 1, "version": "2.47.0"})


def test_a_server_that_stood_still_for_two_seconds_is_a_stall_and_no_failure() -> None:
    timeline = parse(as_arrived(STALL))
    assert [sample.work for sample in timeline.samples] == [39, 40, 40, 40, 40, 10, 0, 31, 40, 40, 40, 40, 40]
    assert timeline.samples[7].stall_s == pytest.approx(2.222614)
    assert timeline.samples[7].latency_s == pytest.approx(2.20429)
    assert (timeline.samples[6].stall_s, timeline.samples[6].latency_s) == (None, None)
    assert [sample.lost for sample in timeline.samples] == [0] * 13
    assert timeline.summary["longest_stall_s"] == pytest.approx(2.222614)
    assert (timeline.period_s, list(timeline.problems)) == (1.0, [])


def test_users_that_waited_together_do_not_go_on_in_step() -> None:
    after = parse(as_arrived(STALL)).samples[8:]
    assert all(sample.stall_s is not None and sample.stall_s < 0.05 for sample in after)


def test_mail_is_read_alike() -> None:
    timeline = parse(as_arrived(texts("locust-2.47.0", "mail-stall.txt")))
    assert [sample.work for sample in timeline.samples] == [19, 20, 20, 20, 20, 0, 10, 20, 20]
    assert max(sample.stall_s or 0 for sample in timeline.samples) == pytest.approx(2.022288)
    assert not timeline.problems


def test_errors_above_the_limit_are_named_with_what_locust_met() -> None:
    problems = parse(as_arrived(texts("locust-2.47.0", "errors.txt"))).problems
    assert any("requests failed" in problem and "the limit is 1.0%" in problem for problem in problems)
    assert any("code=503" in problem for problem in problems)
    assert not parse(as_arrived(texts("locust-2.47.0", "errors.txt")), limit=0.5).problems


def test_a_client_that_stood_still_is_the_generators_own_fault() -> None:
    (problem,) = parse(as_arrived(texts("locust-2.47.0", "slow-client.txt"))).problems
    assert problem.startswith("the generator was too slow")


def test_a_line_that_was_only_long_on_its_way_is_no_fault() -> None:
    lines = stamped([HEAD, report(1), report(2), report(3)])
    late = [*lines[:3], Line(t_ns=lines[3].t_ns + 3 * S, text=lines[3].text)]
    assert not parse(late).problems


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], "printed no report"),
        (["bash: /opt/sodbench/locust/bin/python: No such file"], "No such file"),
        ([report(1), report(2)], "first line is missing"),
        ([HEAD.replace('"format": 1', '"format": 2'), report(1)], "of another format"),
        ([HEAD.replace("locust", "wrk"), report(1)], "of another format"),
        ([HEAD, report(1), report(5)], "3 of locust's reports are missing"),
        ([HEAD, report(2), report(1)], "came after"),
        ([HEAD, report(1, 0), report(2, 0)], "completed no requests"),
        ([HEAD, report(1, 9, failed=1), report(2, 10)], "1 of 20 requests failed"),
        ([HEAD, report(1, 0, failed=5)], "5 of 5 requests failed"),
        ([HEAD, report(1, -1)], "printed no report"),
        ([HEAD, '{"second": 1, "completed": NaN, "failed": 0, "late_s": 0}'], "printed no report"),
    ],
)
def test_an_invalid_run_is_named(said: list[str], named: str) -> None:
    problems = parse(stamped(said)).problems
    assert any(named in problem for problem in problems), problems


def test_steady_is_level_and_never_before_six_reports() -> None:
    lines = as_arrived(STALL)
    assert [locust.steady(lines[:count]) for count in (6, 14)] == [False, True]
    assert not locust.steady(lines[:9]), "the stall is not steady"
    assert not locust.steady(stamped([HEAD, *(report(second, 0) for second in range(1, 9))]))


@given(st.lists(st.one_of(st.text(), st.sampled_from([*STALL, HEAD, "{}", "[" * 5000, "1e999", "null"]))))
def test_arbitrary_output_never_raises(said: list[str]) -> None:
    timeline = parse(stamped(said))
    assert all(sample.work >= 0 for sample in timeline.samples)
    assert timeline.problems or timeline.samples
    locust.steady(stamped(said))


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=4)
)
def test_any_value_in_any_place_never_raises(value: object) -> None:
    for key in ("second", "completed", "failed", "late_s", "latency_p99_s", "stall_s", "error", "generator"):
        parse(stamped([HEAD, json.dumps({**json.loads(report(1)), key: value})]))


@given(st.lists(st.binary(max_size=60)))
def test_binary_output_is_a_problem(chunks: list[bytes]) -> None:
    assert parse(stamped([chunk.decode("utf-8", errors="replace") for chunk in chunks])).problems


@given(st.randoms(use_true_random=False), st.integers(min_value=0, max_value=4))
def test_shuffled_and_doubled_lines_stay_in_order(generator: random.Random, doubled: int) -> None:
    lines = as_arrived([*STALL, *STALL[:doubled]])
    generator.shuffle(lines)
    samples = parse(lines).samples
    assert [sample.t_ns for sample in samples] == sorted({sample.t_ns for sample in samples})


@given(st.integers(min_value=0, max_value=len(STALL)), st.integers(min_value=0, max_value=150))
def test_truncated_output_yields_a_prefix(lines: int, characters: int) -> None:
    said = STALL[:lines]
    if said:
        said[-1] = said[-1][:characters]
    whole, part = parse(as_arrived(STALL)).samples, parse(as_arrived(said)).samples
    assert list(part) == list(whole[: len(part)])


@pytest.mark.parametrize(
    "process", [locust.http(SITE, LOAD, 80, TARGETS), locust.smtp(SITE, LOAD, 25, 8)], ids=["http", "smtp"]
)
def test_the_command_is_well_formed_and_carries_the_load(process: Process) -> None:
    assert well_formed(process.command)
    assert well_formed(f"sh -c {shlex.quote(process.command)}")
    words = shlex.split(process.command)
    assert words[:4] == ["exec", locust.PYTHON, "-u", "-c"]
    config = json.loads(words[5])
    assert (config["host"], config["users"], config["pacing_s"], config["limit_s"]) == (
        "198.18.0.1",
        10,
        0.25,
        600,
    )
    assert (process.machine, process.finish_s) == ("client", 0)
    # A single argument of an exec is bounded (MAX_ARG_STRLEN is 128 KiB), and it is quoted three times over.
    assert len(shlex.quote(shlex.quote(process.command))) < 100_000


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_real_run_is_valid_and_ends_on_sigterm() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = type(SITE)(guest_address="127.0.0.1", client_address="", baseline_s=1, window_s=1, limit_s=30)
    command = locust.http(site, LOAD, server.server_address[1], TARGETS[1:]).command
    command = command.replace(locust.PYTHON, str(INSTALLED))
    running = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    said = [running.stdout.readline() for _ in range(4)]
    os.kill(running.pid, signal.SIGTERM)
    rest, _ = running.communicate(timeout=10)
    server.shutdown()
    timeline = parse(as_arrived([*said, *rest.splitlines()]))
    assert (running.returncode, list(timeline.problems)) == (0, [])
    assert [sample.work for sample in timeline.samples[1:3]] == pytest.approx([40, 40], abs=2)
