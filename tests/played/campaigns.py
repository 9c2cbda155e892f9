"""Small campaigns, carried out on a played rig in this process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from harness.campaign import file as files
from harness.campaign import plan as plans
from harness.campaign.plan import Plan
from harness.campaign.run import runner
from harness.campaign.state import RunState
from harness.cli import rigs
from harness.errors import IncompleteRunError
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.interrupt import Interrupt
from tests import tables

SMALL = """\
name: small
workloads: [idle, file]
repetitions: 1
schedule: {window_s: 8, baseline_s: 2, points_s: [0, 4]}
heartbeat: {rate_hz: 10}
"""

BRIEF = "boot_s: 0.5\nmigration_s: 0.7\nblackout_s: 0.1\n"
"""A script of good weather in which nothing takes long."""

REAL = ("cpu_controller", "controller_cpu")
"""Metrics of the controller's own process, which is never played."""

Listener = Callable[[Event], None]


def begin(root: Path, text: str = SMALL, script: str = BRIEF) -> RunFolder:
    """The folder of a run that has not begun."""
    place = root / "script.yml"
    place.write_text(script)
    plan = plan_of(text)
    rig, _, trust = rigs.played(plan, place)
    with trust.registered(rig, plan.attest) as registered:
        provenance = runner.Provenance(
            campaign_text=text.encode(),
            command_line=["sodbench", "run", "--rig", "played"],
            commit=None,
            inventory=None,
            registry=None if registered is None else registered.url,
            script=script.encode(),
            references=None if registered is None else registered.references,
        )
        return runner.begin(root, plan, rig, provenance)


@cache
def plan_of(text: str) -> Plan:
    """The plan of a campaign; a sweep asks for the same one hundreds of times."""
    return plans.expand(files.loads(text, "small.yml"))


def carry_out(
    run: RunFolder,
    text: str = SMALL,
    script: Path | None = None,
    listener: Listener = lambda _event: None,
) -> RunState | None:
    """Carry out what remains of the run; None where some trials are not valid then."""
    plan = plan_of(text)
    rig, clock, trust = rigs.played(plan, script, run)
    with trust.registered(rig, plan.attest) as registered:
        registry = None if registered is None else registered.registry
        try:
            return runner.carry_out(run, rig, clock, Interrupt(), registry=registry, listener=listener)
        except IncompleteRunError:
            return None


def figures(run: RunFolder) -> pd.DataFrame:
    """The run's metrics without what differs between any two runs: names, and the controller's own cost."""
    table = tables.read(run).drop(columns=["run", "attempt"])
    return table[~table["metric"].isin(REAL)].reset_index(drop=True)
