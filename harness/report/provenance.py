"""Where the numbers come from: versions, machines, clocks, definitions, and how to do it again.

Nothing here is of the moment the report is made: rebuilding it later gives the same bytes.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.evidence.wall_time import WallTime
from harness.pair_name import FIRST, HOSTS, SECOND
from harness.report import host_state
from harness.report.document import quantity
from harness.report.document.model import MISSING, Block, Cell, Code, Column, Paragraph, Table
from harness.report.material import ClockFact, Definition, Material

MANIFEST = (
    ("campaign", "Campaign"),
    ("started_utc", "Started (UTC)"),
    ("rig", "Rig"),
    ("accelerator", "Accelerator"),
    ("migration_tls", "Migrations encrypted (TLS)"),
    ("version", "sodbench"),
    ("commit", "Commit"),
    ("seed", "Seed"),
    ("plan_hash", "Plan (SHA-256)"),
    ("schema", "Schema"),
)
"""The manifest's facts in the order they are shown; others follow by name."""


def blocks(material: Material) -> list[Block]:
    """The section on provenance and reproduction."""
    found: list[Block] = [_run(material), *_generators(material), *_wall_time(material.wall_time)]
    found += [*_machines(material), *host_state.settings(material), *_clocks(material)]
    found.append(Paragraph(text="To measure again, and to make this report again from the stored results:"))
    found.append(Code(text=_commands(material)))
    if material.campaign_text:
        found += [Paragraph(text="The campaign, verbatim:"), Code(text=material.campaign_text.rstrip("\n"))]
    return found


def _run(material: Material) -> Table:
    manifest = {key: value for key, value in material.manifest.items() if key != "run"}
    facts: list[tuple[str, object]] = [("Run", material.run)]
    facts += [(label, manifest.pop(key)) for key, label in MANIFEST if key in manifest]
    command = manifest.pop("command", None)
    if isinstance(command, (list, tuple)):
        facts.append(("Command", shlex.join(map(str, command))))
    facts += [(key, str(value)) for key, value in sorted(manifest.items())]
    return Table(
        key="run",
        title="The run",
        columns=[Column(label="Fact", numeric=False), Column(label="Value", numeric=False)],
        rows=[[Cell(text=name), _fact(value)] for name, value in facts],
    )


PARTS = (
    ("boot_s", "Boots"),
    ("warm_up_s", "Servers and loads, until steady"),
    ("baseline_s", "Baselines"),
    ("window_s", "Windows"),
    ("collection_s", "Collection"),
    ("between_s", "Between trials"),
)
"""The parts of a run's wall time in their order, and what they are called."""


def _wall_time(spent: WallTime | None) -> list[Block]:
    """Where the run's time went; nothing for a run without one beginning and one end."""
    if spent is None or spent.ratio is None:
        return []
    cells = [Cell(text=f"{getattr(spent, name):.0f}") for name, _ in PARTS]
    return [
        Table(
            key="wall-time",
            title="Where the time went",
            columns=[
                *(Column(label=label, unit="s") for _, label in PARTS),
                Column(label="Whole", unit="s"),
                Column(label="Whole over windows"),
            ],
            rows=[[*cells, Cell(text=f"{spent.total_s:.0f}"), Cell(text=f"{spent.ratio:.2f}")]],
            caption="Wall time of the run by part, from the journal's stamps. Windows are what is measured.",
        )
    ]


def _fact(value: object) -> Cell:
    if value is None:
        return Cell(text=MISSING, tone="quiet", reason="not recorded")
    if isinstance(value, Mapping):
        return Cell(text="; ".join(f"{said}: {', '.join(names)}" for said, names in _by_value(value)))
    return Cell(text=_said(value))


def _said(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _by_value(values: Mapping[str, object]) -> list[tuple[str, list[str]]]:
    """Each value of a fact that differs by variant, with the variants that have it, in their order."""
    found: dict[str, list[str]] = {}
    for variant, value in values.items():
        found.setdefault(_said(value), []).append(str(variant))
    return list(found.items())


def _generators(material: Material) -> list[Block]:
    used = {
        (one.workload, load.generator, load.version or "", load.substitutes or "")
        for one in material.attempts
        if (load := one.load) is not None and load.generator
    }
    if not used:
        return []
    return [
        Table(
            key="generators",
            title="Load generators",
            columns=[
                Column(label=label, numeric=False)
                for label in ("Workload", "Generator", "Version", "Stands in for")
            ],
            rows=[[Cell(text=text or MISSING) for text in entry] for entry in sorted(used)],
        )
    ]


def _machines(material: Material) -> list[Block]:
    """Facts of each machine before the run; what changed during it; whether the two hosts are alike."""
    before = {machine: facts for (machine, when), facts in material.machines.items() if when == "before"}
    if not before:
        return [Paragraph(text="No facts of the machines were stored with this run.")]
    names = list(dict.fromkeys(name for facts in before.values() for name in facts))
    differing = [name for name in names if _differs(before, name)]
    table = Table(
        key="machines",
        title="The machines before the run",
        columns=[
            Column(label="Fact", numeric=False),
            *(Column(label=machine, numeric=False) for machine in before),
        ],
        rows=[[Cell(text=name), *(_of(facts, name) for facts in before.values())] for name in names],
        dense=True,
    )
    return [Paragraph(text=_alike(before, differing)), Paragraph(text=_changes(material)), table]


def _of(facts: Mapping[str, str], name: str) -> Cell:
    text = facts.get(name)
    return Cell(text=text) if text else Cell(text=MISSING, tone="quiet")


OWN = frozenset(
    {
        *("machine", "hostname", "name", "address", "boot_id", "machine_id"),
        # Readings of a moment: two hosts never agree in them, and are none the less alike.
        *("chrony_offset_s", "storage_free_bytes"),
    }
)
"""Facts that are a machine's own, whatever it is like."""


def _differs(before: Mapping[str, Mapping[str, str]], name: str) -> bool:
    """Whether hosts a and b differ in a fact that is not by nature a machine's own."""
    if not before.keys() >= set(HOSTS):
        return False
    return name.rsplit(".", 1)[-1] not in OWN and before[FIRST].get(name) != before[SECOND].get(name)


def _alike(before: Mapping[str, Mapping[str, str]], differing: Sequence[str]) -> str:
    if not before.keys() >= set(HOSTS):
        return "Whether the two hosts are alike is not known: the facts of at least one are missing."
    if not differing:
        return "The recorded facts of the two hosts are the same."
    return f"The two hosts differ in: {', '.join(differing)}."


def _changes(material: Material) -> str:
    changed = []
    for (machine, when), facts in material.machines.items():
        after = material.machines.get((machine, "after"))
        if when == "before" and after is not None:
            names = [name for name in {**facts, **after} if facts.get(name) != after.get(name)]
            changed += [f"{machine} ({', '.join(names)})"] if names else []
    if not any(when == "after" for _, when in material.machines):
        return "No facts were taken after the run."
    return (
        f"Changed during the run: {'; '.join(changed)}."
        if changed
        else "No recorded fact changed during the run."
    )


def _clocks(material: Material) -> list[Block]:
    if not material.clocks:
        return []
    labels = ("Samples", "Uncertainty, µs at most")
    return [
        Table(
            key="clocks",
            title="Clocks against the controller's",
            columns=[
                Column(label="Machine", numeric=False),
                Column(label="Kernel", numeric=False),
                *(Column(label=label) for label in labels),
            ],
            rows=[_clock(fact) for fact in material.clocks],
        )
    ]


def _clock(fact: ClockFact) -> list[Cell]:
    width = MISSING if math.isnan(fact.uncertainty_s) else f"{fact.uncertainty_s * 1e6:.0f}"
    kernel = "the controller's" if fact.same_kernel else "its own"
    return [Cell(text=fact.machine), Cell(text=kernel), Cell(text=str(fact.samples)), Cell(text=width)]


def _commands(material: Material) -> str:
    """The commands as they would be typed in a shell."""
    run = shlex.quote(f"results/{material.campaign}/{material.run}")
    # A campaign names its inventory from where it lay, and the copy in the run lies elsewhere.
    inventory = material.manifest.get("inventory") if material.manifest.get("rig") != "lab" else None
    rig = f" --inventory {shlex.quote(inventory)}" if isinstance(inventory, str) else ""
    rig = " --rig played" if material.played else rig
    return f"sodbench run {run}/campaign.yml{rig}\nsodbench report {run}"


def definitions(material: Material) -> Table:
    """Every metric the results hold, with the coarsest resolution seen in this run."""
    present = set(material.metrics["metric"])
    labels = ("Metric", "Unit", "Better", "Observer", "Resolution", "Uncertainty", "Definition", "Source")
    return Table(
        key="metric-definitions",
        title="Definition of each metric",
        columns=[Column(label=label, numeric=label in {"Resolution", "Uncertainty"}) for label in labels],
        rows=[_definition(one, material.metrics) for one in material.definitions if one.name in present],
        caption="Resolution and uncertainty are the largest of this run's values; a dash: negligible or "
        "unknown.",
        dense=True,
    )


def _definition(one: Definition, metrics: pd.DataFrame) -> list[Cell]:
    mine = metrics[(metrics["metric"] == one.name) & metrics["value"].notna()]
    shown = quantity.of_metric(one.name, one.unit)
    return [
        Cell(text=one.name),
        Cell(text=one.unit or "yes / no"),
        Cell(text=one.better),
        Cell(text=one.observer),
        _width(mine["resolution"].max(), shown),
        _width(mine["uncertainty"].max(), shown),
        Cell(text=one.definition),
        Cell(text=one.source, tone="quiet"),
    ]


def _width(value: float, shown: quantity.Shown) -> Cell:
    if pd.isna(value):
        return Cell(text=MISSING, tone="quiet")
    return Cell(text=f"{value * shown.scale:.3g} {shown.unit}".strip())
