"""No bytes at all bring a reader to more than the refusal that it documents."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import ROOT, TARGETS
from tests.skips import with_atheris

SECONDS = 3
RUNS = 20_000

# What a coverage-guided fuzzer comes upon late, because it takes long inputs or a form within the form.
HOSTILE = [
    b"",
    b"\0" * 70_000,
    b"\xff" * 70_000,
    b"\n" * 70_000,
    b"[" * 5_000,
    b'{"a":' * 10_000,
    b"{" * 1_000,
    b"- " * 3_000,
    b"? " * 3_000,
    b"a: " * 3_000,
    b"1" * 100_000,
    b'"' * 10_000,
    b'{"id":1,"ok":' + b"[" * 10_000,
    b'{"id":1,"ok":{"pcrs":' + b"1" * 5_000 + b"}}",
    b'{"id":1e999,"ok":{}}',
    b'{"id":1,"ok":{"retries":NaN}}',
    b'{"id":1,"ok":{"pcrs":{"\\ud800":"AA=="}}}',
    b"version: " + b"1" * 5_000,
    b"version: 0x" + b"f" * 5_000,
    b"version: 0o" + b"7" * 9_000,
    b"version: 1e400",
    b"version: .nan",
    b"version: 2001-99-99",
    b"version: 190:20:30",
    b"version: !!binary aa",
    b"version: &a [*a]",
    b"version: 1\npcrs: {sha256: {" + b"1" * 4_999 + b": []}}",
    b"version: 1\npcrs: {sha256: {? [1] : []}}",
    b'version: 1\nima: {files: {"\\ud800": []}}',
    b"\xef\xbb\xbfversion: 1\n",
]


@pytest.mark.parametrize("name", TARGETS)
def test_each_seed_is_read(name: str) -> None:
    """Seeds that are refused would leave the fuzzer at the door."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) >= 2
    for seed in seeds:
        target.read(seed)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:24]))
def test_hostile_inputs(name: str, data: bytes) -> None:
    TARGETS[name].consume(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_seeds(name: str, data: st.DataObject) -> None:
    """Parts taken out, put in, or put elsewhere; also where there is no atheris."""
    seed = data.draw(st.sampled_from(TARGETS[name].seeds()))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(seed))] * 2)))
    middle = data.draw(st.binary(max_size=20) | st.just(seed[first:last] * 2) | st.just(seed[:first]))
    TARGETS[name].consume(seed[:first] + middle + seed[last:])


@pytest.mark.programs
@with_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_guided(name: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    bounds = ["--seconds", str(SECONDS), "--runs", str(RUNS), "--seed", "1", "--corpus", str(corpus)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, *bounds],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    faults = sorted((corpus / "faults").iterdir())
    if done.returncode or faults:
        kept = [shutil.copy(path, _faults() / path.name) for path in faults]
        again = " ".join(map(str, kept))
        pytest.fail(f"{done.stderr[-3_000:]}\nagain: python -m tests.fuzz {name} {again}")
    assert len(list((corpus / name).iterdir())) > len(TARGETS[name].seeds()), "nothing new was ever reached"


def _faults() -> Path:
    """Where inputs that found a fault outlast the test."""
    folder = ROOT / ".fuzz/faults"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.programs
@with_atheris
def test_the_fuzzer_finds_a_fault_and_keeps_its_input(tmp_path: Path) -> None:
    """Seen by a reader that was broken on purpose."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from harness.attest.logs import eventlog\n"
        "real = eventlog._localities\n"
        "def broken(events):\n"
        "    return {}['no such key'] if len(events) > 2 else real(events)\n"
        "eventlog._localities = broken\n"
        "import sys\n"
        "from tests.fuzz.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, str(broken), "event-log", "--runs", "1000", "--corpus", str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "no such key" in done.stdout + done.stderr
    assert [path.name.startswith("event-log-crash-") for path in (tmp_path / "faults").iterdir()] == [True]
