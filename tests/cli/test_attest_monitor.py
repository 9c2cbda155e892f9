"""`sodbench attest monitor`: what is chosen, what is printed, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from harness import plugins
from harness.attest.attester.contract import Properties
from harness.attest.evidence import Evidence
from harness.attest.monitor import kinds
from harness.attest.monitor.standing import Change
from harness.attest.played.software_tpm import SoftwareTpm, changed
from harness.attest.reasons import Reason
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest import machines
from harness.cli.attest.monitor import accepted_numbers, assigned, line, monitor
from harness.clock import MonotonicClock
from harness.errors import UsageError
from harness.registry.registry import open_registry, sqlite_url
from tests.attest.attesters import GOOD, POLICY, SoftwareAttester, enrol

GROUP = [
    EntryPoint("tpm", "harness.attest.monitor.kinds.tpm:TpmMonitor", kinds.GROUP),
    EntryPoint("hyperwall", "harness.attest.monitor.kinds.hyperwall:HyperwallMonitor", kinds.GROUP),
]


class Machine(SoftwareAttester):
    """A host that also says how often its memory was violated."""

    violations = 0

    def properties(self) -> Properties:
        return Properties(
            architecture="hyperwall",
            simulated=True,
            memory_violations=self.violations,
            reasons={},
            boot_id="b1",
        )


class Lab:
    """Hosts a and b, enrolled in a registry of their own."""

    def __init__(self, folder: Path) -> None:
        self.url = sqlite_url(folder / "registry.sqlite")
        clock = MonotonicClock()
        self.hosts = {name: Machine(SoftwareTpm("ecc-p256"), clock) for name in ("a", "b")}
        with open_registry(self.url) as registry:
            for name, host in self.hosts.items():
                enrol(registry, name, host.tpm)

    @contextmanager
    def reached(
        self, _pair: object, names: Sequence[str], _clock: object
    ) -> Iterator[Mapping[str, SimpleNamespace]]:
        yield {name: SimpleNamespace(attester=self.hosts[name]) for name in names}

    def run(self, *arguments: str) -> Result:
        app = typer.Typer()
        app.command()(monitor)
        usual = ["--registry", self.url, "--interval", "0.2", "--lifetime", "20", "--for", "3"]
        return CliRunner().invoke(app, [*usual, *arguments])

    def lines(self, *arguments: str) -> tuple[Result, list[dict[str, Any]]]:
        result = self.run("--json", *arguments)
        return result, [json.loads(text) for text in result.stdout.splitlines()]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path)
    monkeypatch.setattr(machines, "reached", made.reached)
    rig = SimpleNamespace(rig="lab", name="default")
    monkeypatch.setattr("harness.rig.pair.load", lambda _path, **_: rig)
    monkeypatch.setattr(attest_inputs, "policy", lambda *_asked: POLICY)
    monkeypatch.setattr(attest_inputs, "reference", lambda *_asked: GOOD)
    monkeypatch.setattr(attest_inputs, "reference_place", lambda name, _pair: tmp_path / name)
    monkeypatch.setattr(plugins, "registered", lambda group: GROUP)
    return made


def told(rows: Sequence[Mapping[str, Any]], **wanted: object) -> list[Mapping[str, Any]]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def test_good_hosts_are_affirmed_once_and_the_end_is_zero(lab: Lab) -> None:
    result, rows = lab.lines()

    assert result.exit_code == 0
    for name in ("a", "b"):
        assert [(row["before"], row["after"]) for row in told(rows, subject=name, kind="tier")] == [
            ("none", "affirming")
        ]
        (standing,) = told(rows, subject=name, kind="standing")
        assert (standing["tier"], standing["simulated"]) == ("affirming", False)
    with open_registry(lab.url) as registry:
        assert registry.properties("a")["architecture_type"].value == "TPM"
        assert registry.properties("a")["trust_tier"].value == {"tier": "affirming", "reason": "accepted"}


def test_a_host_that_is_bad_ends_as_a_refusal(lab: Lab) -> None:
    lab.hosts["b"].twist = lambda evidence: changed(evidence, pcrs={**evidence.pcrs, 3: bytes(32)})
    result, rows = lab.lines()

    assert result.exit_code == 14
    (change,) = told(rows, subject="b", kind="tier", reason="pcr-digest")
    assert change["after"] == "contraindicated"
    assert told(rows, subject="a", kind="standing")[0]["tier"] == "affirming"


def test_a_host_that_does_not_answer_is_none(lab: Lab) -> None:
    lab.hosts["a"].reason = Reason.ATTESTER_UNREACHABLE
    result, rows = lab.lines("a")

    assert result.exit_code == 14
    assert told(rows, kind="standing") == [
        {
            "kind": "standing",
            "subject": "a",
            "monitor": "tpm",
            "simulated": False,
            "tier": "none",
            "reason": "attester-unreachable",
            "detail": told(rows, kind="standing")[0]["detail"],
            "missed": told(rows, kind="standing")[0]["missed"],
        }
    ]


def test_simulated_violations_are_marked_and_may_be_accepted(lab: Lab) -> None:
    lab.hosts["b"].violations = 2
    chosen = ["b", "--monitor", "b=hyperwall", "--monitor", "b=tpm"]
    result, rows = lab.lines(*chosen)

    assert result.exit_code == 14
    (change,) = told(rows, monitor="hyperwall", kind="tier")
    assert (change["reason"], change["simulated"]) == ("memory-violation", True)
    assert all(row["simulated"] == (row["monitor"] == "hyperwall") for row in rows)
    with open_registry(lab.url) as registry:
        kept = registry.properties("b")
    assert (kept["trust_evidence"].value, kept["trust_evidence"].simulated) == (
        {"memory_violations": 2, "most": 2, "accepted": 0},
        True,
    )
    assert (kept["tpm.architecture_type"].value, kept["tpm.architecture_type"].simulated) == ("TPM", False)
    assert lab.lines(*chosen, "--accept", "b=2")[0].exit_code == 0


def test_people_get_lines_and_a_table(lab: Lab) -> None:
    result = lab.run("a")

    assert "a         tpm         tier  tier none -> affirming" in result.stdout
    assert result.stdout.splitlines()[-1].split()[:4] == ["a", "tpm", "affirming", "accepted"]


def test_ctrl_c_ends_it_cleanly(lab: Lab) -> None:
    def press(evidence: Evidence) -> Evidence:
        os.kill(os.getpid(), signal.SIGINT)
        lab.hosts["a"].twist = lambda same: same
        return evidence

    lab.hosts["a"].twist = press
    result, rows = lab.lines("a", "--for", "60")

    assert (result.exit_code, len(told(rows, kind="standing"))) in {(0, 1), (14, 1)}
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--interval", "0"],
        ["--interval", "10", "--lifetime", "9"],
        ["--hang", "0"],
        ["c"],
        ["--monitor", "tpm"],
        ["--monitor", "a=nothing"],
        ["--accept", "a=many"],
        ["--key", "dsa"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(lab: Lab, arguments: list[str]) -> None:
    result = lab.run(*arguments)

    assert isinstance(result.exception, UsageError)
    assert lab.hosts["a"].asked == []


def test_monitors_are_assigned_in_their_order() -> None:
    assert assigned(["a=hyperwall", "a=tpm"], ["a", "b"]) == {"a": ["hyperwall", "tpm"], "b": ["tpm"]}


@pytest.mark.parametrize(
    ("parse", "given"),
    [
        (assigned, ["c=tpm"]),
        (assigned, ["a="]),
        (assigned, ["a=tpm", "a=tpm"]),
        (accepted_numbers, ["a=-1"]),
        (accepted_numbers, ["a=²"]),
        (accepted_numbers, ["a"]),
    ],
)
def test_what_names_no_machine_or_no_value_is_refused(
    parse: Callable[[Sequence[str], Sequence[str]], object], given: list[str]
) -> None:
    with pytest.raises(UsageError):
        parse(given, ["a"])


def test_numbers_default_to_none_accepted() -> None:
    assert accepted_numbers(["a=3"], ["a", "b"]) == {"a": 3, "b": 0}


def test_a_line_says_when_who_what_and_why() -> None:
    change = Change(
        subject="a",
        monitor="hyperwall",
        kind="tier",
        before="affirming",
        after="contraindicated",
        reason=Reason.MEMORY_VIOLATION,
        detail="2 memory violations",
        at_ns=3_500_000_000,
        simulated=True,
    )

    assert line(change, 1_000_000_000) == (
        "    2.500 s  a         hyperwall   tier  tier affirming -> contraindicated  "
        "memory-violation, 2 memory violations [simulated]"
    )
