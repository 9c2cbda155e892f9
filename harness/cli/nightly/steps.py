"""What a night does, each step by the verb that does the same."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness import disk
from harness import report as reports
from harness.analysis import comparability
from harness.analysis.comparability import Setup
from harness.analysis.gate import known_bad, sides
from harness.analysis.trend import course, nights
from harness.campaign import file as campaigns
from harness.campaign import plan as plans
from harness.campaign.nightly.file import Nightly
from harness.campaign.nightly.ledger import Ledger
from harness.campaign.nightly.night import Begun
from harness.campaign.plan import Plan
from harness.campaign.run import runner
from harness.cli import gate as gates
from harness.cli import rig as rigs
from harness.cli import run as runs
from harness.cli import trend as trends
from harness.cli.inputs import inventory_file
from harness.cli.rigs import played, real
from harness.cli.signing import key_to_sign
from harness.cli.terminal import number_of
from harness.errors import CampaignError, PrerequisiteError, UsageError
from harness.evidence import folder as store
from harness.evidence.folder import RunFolder
from harness.files import sync_folder
from harness.json_types import Json
from harness.report import signed
from harness.rig.guest.kind import kind_of
from harness.rig.rig import Rig
from harness.yaml_source import read_bytes

JUNIT = "gate.xml"
"""The last night's gate, next to the page."""
_PARTIAL = ".partial-"


class Hosts(Protocol):
    """The hosts' settings."""

    def tune(self) -> None:
        """Set them for a measurement, every value saved first."""
        ...

    def restore(self) -> None:
        """Put every value back, also those of a tuning that was cut short."""
        ...


class RigHosts:
    """The hosts of the night's inventory, set by playbooks."""

    def __init__(self, asked: Nightly) -> None:
        self._asked = asked

    def tune(self) -> None:
        """See `sodbench rig tune`."""
        rigs.tune(inventory_of(self._asked))

    def restore(self) -> None:
        """See `sodbench rig restore`."""
        rigs.restore(inventory_of(self._asked))


class RealSteps:
    """The steps of the night that `asked` describes, on `hosts`."""

    def __init__(self, asked: Nightly, hosts: Hosts) -> None:
        self._asked = asked
        self._hosts = hosts

    def restore(self) -> str:
        """Put back what this night or an earlier one set."""
        self._hosts.restore()
        return "every value is as it was"

    def preflight(self) -> str:
        """See that campaign and baseline can be read, and that the rig answers and can carry the plan."""
        plan = plan_of(self._asked.campaign)
        _forget_unpublished(self._asked.publish)
        baseline = None if self._asked.baseline is None else self._judged_by(plan, self._asked.baseline)
        if self._asked.played:
            rig = played(plan, self._asked.script).rig
            self._require_repeatable(baseline, plan, rig, rig.facts())
            return "the campaign can be played"
        place = inventory_of(self._asked)
        kind = kind_of(plan.guest.image)
        with real(place, "sodbench nightly: preflight", programs=False, kind=kind) as (rig, _):
            facts = rig.facts()
            runner.require_fit(facts, plan, rig)
            self._require_repeatable(baseline, plan, rig, facts)
        return "the rig can carry the campaign"

    def _require_repeatable(
        self, baseline: Setup | None, plan: Plan, rig: Rig, facts: Mapping[str, Mapping[str, Json]]
    ) -> None:
        """See that tonight's run will be one that the gate can put against the baseline."""
        if baseline is None:
            return
        tonight = Setup(
            name="tonight's run",
            where=str(self._asked.campaign),
            manifest=runner.setup(plan, rig),
            hosts=facts,
            plan=plan.to_json(),
        )
        comparability.require_repeatable(baseline, tonight, self._asked.accept)

    def _judged_by(self, plan: Plan, baseline: Path) -> Setup:
        """The baseline's setup, once it is seen that the gate can use it."""
        if plan.gate is None:
            raise CampaignError(
                "the campaign declares no metrics for a gate",
                where=str(self._asked.campaign),
                remedy="add a section `gate` (docs/campaigns.md), or take `baseline` out of the night's file",
            )
        if self._asked.known_bad is not None:
            known_bad.load(self._asked.known_bad, plan.gate, gates.today())
        with gates.opened_baseline(baseline, self._asked.key, unsigned=False) as found:
            if not store.is_packed(baseline) and found.root.resolve() != baseline.resolve():
                raise UsageError(
                    "a folder above runs is no baseline",
                    where=str(baseline),
                    why="the newest run below it would be this night's own",
                    remedy="name the run itself",
                )
            sides.require_finished(found, "baseline")
            return comparability.setup_of(found)

    def tune(self) -> str:
        """Set the hosts for the run."""
        self._hosts.tune()
        return "the hosts are set"

    def run(self, begun: Begun) -> str:
        """Carry the campaign out in a run of its own."""
        path, results = self._asked.campaign, self._asked.results
        text = read_bytes(path)
        if self._asked.played:
            runs.play(text, str(path), results, self._asked.script, begun=begun)
        else:
            runs.carry(text, path.name, self._asked.inventory, results, None, path=path, begun=begun)
        return "every trial is valid"

    def gate(self, run: RunFolder) -> str:
        """Judge it; the outcome is also JUnit XML next to the page."""
        baseline = self._asked.baseline
        if baseline is None:
            raise PrerequisiteError("a gate needs a baseline", where=str(self._asked.file))
        place = self._asked.publish / JUNIT
        try:
            gates.gate(
                run.root,
                baseline,
                known=self._asked.known_bad,
                accept=list(self._asked.accept),
                junit=place,
                key=self._asked.key,
            )
        finally:
            if place.exists():
                self._share(place)
        return "not worse than the baseline"

    def publish(self, run: RunFolder) -> str:
        """Put the report, whole or not at all, into a folder named as the run."""
        name = run.root.name
        made, place = self._asked.publish / f"{_PARTIAL}{name}", self._asked.publish / name
        report = reports.build(run, made, ("html",))
        key = key_to_sign(None)
        if key is not None:
            signed.sign(made, report.files, key)
        self._share(made, *made.rglob("*"))
        try:
            made.replace(place)
            sync_folder(place.parent)
        except OSError as error:
            raise disk.failure("the report cannot be published", place, error) from error
        return f"{place.name}/report.html"

    def keep(self, nights: Sequence[Ledger]) -> str:
        """Remove the nights' runs and reports; each record last, so that a kill loses track of no run."""
        removed = 0
        for one in nights:
            if one.run is not None and not self._is_baseline(Path(one.run)):
                removed += 1
                for place in (Path(one.run), self._asked.publish / Path(one.run).name):
                    remove(place)
            remove(self._asked.nights / f"{one.night}.json")
        return f"{number_of(removed, 'run')} removed"

    def _is_baseline(self, run: Path) -> bool:
        baseline = self._asked.baseline
        return baseline is not None and run.resolve() in (baseline.resolve(), *baseline.resolve().parents)

    def trend(self) -> str:
        """Make the page of all runs of the campaign, and its feed."""
        results = self._asked.results / plan_of(self._asked.campaign).campaign
        found = course.of(nights.read(results))
        trends.show(found)
        made = trends.write(found, self._asked.publish, self._asked.publish)
        self._share(*made)
        return ", ".join(path.name for path in made)

    def _share(self, *places: Path) -> None:
        """Give what is published the permissions of the folder that it is published in."""
        try:
            mode = self._asked.publish.stat().st_mode
            for place in places:
                place.chmod(mode & (0o777 if place.is_dir() else 0o666))
        except OSError as error:
            raise disk.failure("what is published cannot be shared", self._asked.publish, error) from error


def plan_of(campaign: Path) -> Plan:
    """The plan of the campaign stored there."""
    return plans.expand(campaigns.load(campaign))


def inventory_of(asked: Nightly) -> Path:
    """The inventory of the night's rig: the file's, else the campaign's."""
    return asked.inventory or inventory_file(None, plan_of(asked.campaign).rig, asked.campaign)


def remove(place: Path) -> None:
    """Remove a file or a folder, as far as it is there.

    Raises:
        StorageError: It cannot be removed.
    """
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise disk.failure("an older night cannot be removed", place, error) from error


def _forget_unpublished(publish: Path) -> None:
    """Remove what a night left that was killed while it published, and the last night's gate."""
    for place in (*publish.glob(f"{_PARTIAL}*"), publish / JUNIT):
        remove(place)
