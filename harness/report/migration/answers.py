"""What was run on what, one sentence for each workload, and Table V next to the paper's.

A mean is over the valid migrations and never leaves without its n, its trials and its median. An interval is
of the trials, from three of them on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.analysis.stats import Replicated
from harness.evidence import played
from harness.pair_name import HOSTS
from harness.report import replicates
from harness.report.document import quantity
from harness.report.document.model import MISSING, Answer, Block, Callout, Cell, Column, Paragraph, Table
from harness.report.material import Material
from harness.report.naming import with_note

TABLE_V = (
    ("Total time, s", "total_time", "measured"),
    ("Downtime, ms", "blackout", "blackout"),
    ("Downtime, ms", "outage_network", "network outage"),
    ("Downtime, ms", "outage_application", "application outage"),
    ("Data, MB", "data_sent", "sent"),
    ("Data, MB", "wire_bytes", "on the wire"),
)
"""Table V's measured columns: group, metric, label; the paper's own follow the first of each group."""
HYPERVISORS = frozenset(
    {
        *("kvm", "amazon", "vmware", "microsoft", "xen", "oracle", "google", "parallels", "bhyve"),
        *("qnx", "acrn", "apple", "zvm", "powervm", "sre", "vm-other"),
    }
)
"""systemd-detect-virt's words for a virtual machine; a container shares the kernel of what is below it."""

COMPARED = ("total_time", "blackout", "data_sent")


def banner(material: Material) -> str:
    """Rig and accelerator, and what they forbid to conclude."""
    if material.played:
        return played.SAYS
    rig = str(material.manifest.get("rig") or "unknown rig")
    seen = {name for attempt in material.attempts if (name := attempt.guest and attempt.guest.accelerator)}
    names = sorted(seen) or [str(material.manifest.get("accelerator") or "unknown accelerator")]
    if "tcg" in (name.lower() for name in names):
        partly = "" if len(names) == 1 else " in part"
        return f"{rig}, TCG (emulated CPU){partly}: not comparable in absolute terms with hardware"
    name = " and ".join(name.upper() if name.lower() == "kvm" else name for name in names)
    said = [f"{rig}, {name}", *(["both hosts share one machine"] if rig == "lab" else []), *_below(material)]
    return ": ".join(said[:2]) + "".join(f"; {one}" for one in said[2:])


def _below(material: Material) -> list[str]:
    """What the hosts themselves run on, where that is no hardware: their KVM is then emulated or nested."""
    found = []
    for machine in HOSTS:
        facts = material.machines.get((machine, "before"), {})
        below, cpu = facts.get("virtualization", ""), facts.get("cpu_model", "")
        if below == "qemu" or "TCG" in cpu:
            found.append(
                f"host {machine} is itself emulated ({cpu or below}), and so is its KVM: not comparable with "
                "hardware"
            )
        elif below in HYPERVISORS:
            found.append(f"host {machine} is itself a virtual machine ({below}): its KVM is nested")
    return found


def about(material: Material) -> list[Block]:
    """What was run, and what must be known before a number is read."""
    counted = [attempt for attempt in material.attempts if attempt.counts]
    moving = [attempt for attempt in counted if attempt.moves or not attempt.scenario]
    moves = [move for attempt in counted for move in attempt.moves if move.outcome == "completed"]
    trials = len({attempt.trial for attempt in material.attempts})
    blocks: list[Block] = [
        Paragraph(
            text=f"Campaign {material.campaign} on the rig {material.manifest.get('rig')}, "
            f"{_guests(material)}: {len(material.attempts)} attempts at {trials} trials, {len(moving)} of "
            f"them valid and with migrations; {len(moves)} completed migrations "
            "are counted below."
        )
    ]
    if not material.finished:
        blocks.append(
            Callout(tone="warning", text="The run did not end: this report shows what was recorded.")
        )
    if material.unsealed:
        blocks.append(
            Callout(
                tone="warning",
                text="The run has ended and its evidence has no sums (SHA256SUMS): it is not known to be "
                "what was recorded.",
            )
        )
    elif material.unchecked:
        blocks.append(
            Callout(
                tone="warning",
                text="The run was resumed after it had ended, and its evidence had no sums (SHA256SUMS) "
                "then: what was recorded before is not known to be what it was.",
            )
        )
    if not len(material.valid):
        blocks.append(
            Callout(
                tone="warning", text="There is no valid measurement of a migration in this run: see Validity."
            )
        )
    return blocks


def sentences(material: Material) -> list[Block]:
    """The answer for each workload in a sentence."""
    names = material.names
    blocks: list[Block] = [
        Answer(subject=names.of(name), text=_answer(material, name)) for name in material.workloads
    ]
    if note := names.note(material.workloads):
        blocks.append(Paragraph(text=note))
    return blocks


def together(material: Material) -> str:
    """What must be said where migrations of different scenarios are in one mean; empty where none are."""
    moved = (one for one in material.attempts if one.counts and one.moves)
    scenarios = dict.fromkeys(scenario for one in moved if (scenario := one.scenario))
    if not scenarios:
        return ""
    return (
        "The migrations of this run are responses. Here those of one workload are counted together, whatever "
        f"triggered them ({', '.join(scenarios)}); the section on responses separates them."
    )


def _guests(material: Material) -> str:
    """Such as ``guests of 1024 MiB and 1 vCPU``."""
    sizes = {
        (attempt.guest.memory_bytes, attempt.guest.vcpus) for attempt in material.attempts if attempt.guest
    }
    texts = [
        f"{memory / 2**20:.0f} MiB and {vcpus} vCPU"
        for memory, vcpus in sorted(sizes, key=str)
        if isinstance(memory, int)
    ]
    return "guests of " + " or ".join(texts) if texts else "no guest started"


def _answer(material: Material, workload: str) -> str:
    values = material.valid[material.valid["workload"] == workload]
    n = len(values[values["metric"] == "total_time"])
    if not n:
        return "No valid migration was measured; the section on validity says why."
    trials = values["trial"].nunique()
    found = {metric: values_of(material, workload, metric) for _, metric, _ in TABLE_V}
    s = f"Moving the guest took {_said('total_time', found)}"
    s += (
        f" (mean of {n} migrations in {trials} {'trial' if trials == 1 else 'trials'})"
        if n > 1
        else " (one migration)"
    )
    s += f"; it stood still for {_said('blackout', found)}"
    s += f", the client heard nothing for {_said('outage_network', found)}"
    if found["outage_application"] is not None:
        s += f", the work stalled for {_said('outage_application', found)}"
        s += _without(material, workload)
    s += f", and {_said('data_sent', found)} were sent."
    if any(one.variant for one in material.attempts if one.workload == workload):
        return s
    theirs = material.paper.get(workload)
    if theirs is None:
        return s + " The paper has no such workload."
    return s + " The paper: " + ", ".join(_published(name, theirs[name]) for name in COMPARED) + "."


def _without(material: Material, workload: str) -> str:
    """How long the work stalls where nothing is migrated, of which the stall above is to be told."""
    floor = material.floor
    mine = floor[floor["workload"].eq(workload) & floor["metric"].eq("outage_application")]["value"]
    if not len(mine):
        return ""
    return f" (without a migration at most {quantity.of_metric('outage_application').with_unit(mine.max())})"


def _published(metric: str, value: float) -> str:
    """The paper's value with no more digits than it has."""
    shown = quantity.of_metric(metric)
    return f"{value * shown.scale:g}\u00a0{shown.unit}"


def _said(metric: str, found: Mapping[str, Replicated | None]) -> str:
    """The mean; with the median where one value dominates the mean."""
    one, shown = found[metric], quantity.of_metric(metric)
    if one is None:
        return "an unknown time or amount"
    mean = shown.with_unit(one.mean)
    if one.without_one is None:
        return mean
    return f"{mean} (median {shown.with_unit(one.median)}: one value dominates the mean)"


def values_of(material: Material, workload: str, metric: str) -> Replicated | None:
    """A metric over a workload's valid migrations, by trial; None where it was not measured."""
    mine = material.values.get((workload, metric))
    return None if mine is None else replicates.of_trials(mine, signed=metric in material.signed)


def table_v(material: Material) -> Table:
    """Table V as measured, next to the paper's, one row per workload of either."""
    names = [*material.paper, *(name for name in material.workloads if name not in material.paper)]
    columns = [Column(label="Workload", numeric=False), Column(label="Trials"), Column(label="n")]
    for group, metric, label in TABLE_V:
        columns.append(Column(group=group, label=label))
        if metric in COMPARED:
            columns.append(Column(group=group, label="paper"))
    return Table(
        key="table-v-numbers",
        title="Table V, measured and published",
        columns=columns,
        rows=[_row(material, name) for name in names],
        caption=with_note(
            with_note(_how(material), together(material)), material.names.note(material.workloads)
        ),
    )


def _how(material: Material) -> str:
    observers = material.valid.groupby("metric")["observer"].agg(
        lambda names: ", ".join(sorted(set(map(str, names))))
    )
    said = [
        f"{label if label != 'measured' else 'total time'} by {observers[metric]}"
        for _, metric, label in TABLE_V
        if metric in observers
    ]
    text = (
        "Means over the n valid migrations, as in the paper; below each mean the median and, in brackets, "
        "the standard deviation, and below these the interval of the trials. "
        f"{replicates.UNIT}. Interval: {_method(material)}. The paper's downtime is compared with "
        "the blackout, the time from STOP on the source to RESUME on the destination; the outages are what "
        "client and workload observed. MB are 10^6 bytes."
    )
    return text + (f" Observed: {'; '.join(said)}." if said else "")


def _method(material: Material) -> str:
    found = (values_of(material, workload, "total_time") for workload in material.workloads)
    return replicates.methods(one for one in found if one is not None)


def _row(material: Material, workload: str) -> list[Cell]:
    values = material.valid[material.valid["workload"] == workload]
    ran = workload in material.workloads
    n = len(values[values["metric"] == "total_time"])
    tone = "plain" if ran else "quiet"
    name = Cell(text=material.names.of(workload), below="" if ran else "not measured", tone=tone)
    counts = (values["trial"].nunique(), n)
    cells = [name, *(Cell(text=str(count) if ran else MISSING, tone=tone) for count in counts)]
    for _, metric, _ in TABLE_V:
        cells.append(mean_cell(material, workload, metric, n) if ran else Cell(text=MISSING, tone="quiet"))
        if metric in COMPARED:
            cells.append(_paper_cell(material, workload, metric))
    return cells


def _paper_cell(material: Material, workload: str, metric: str) -> Cell:
    theirs = material.paper.get(workload, {}).get(metric)
    if theirs is None:
        return Cell(text=MISSING, tone="quiet", reason="the paper has no such workload")
    digits = {"total_time": 1, "blackout": 0}.get(metric, 2)
    return Cell(text=f"{theirs * quantity.of_metric(metric).scale:.{digits}f}", tone="quiet")


def mean_cell(material: Material, workload: str, metric: str, n: int) -> Cell:
    """The mean of a metric over a workload's valid migrations, its median and its interval.

    The footnote says where there are fewer than `n`, and where the numbers are to be doubted.
    """
    found = values_of(material, workload, metric)
    if found is None:
        return Cell(text=MISSING, tone="quiet", reason=reasons(material, workload, metric))
    shown = quantity.of_metric(metric)
    below = f"median {shown.text(found.median)} ({shown.text(found.std)})"
    if span := replicates.interval(found, shown.text):
        below = f"{below}\n{span}"
    if found.std == 0:
        below = "all alike"
    said = [] if found.n == n else [f"n = {found.n}: {reasons(material, workload, metric)}"]
    said += replicates.doubts(found, shown.with_unit)
    return Cell(text=shown.text(found.mean), below=below if found.n > 1 else "n = 1", reason="; ".join(said))


def reasons(material: Material, workload: str, metric: str) -> str:
    """Why migrations of a workload have no value of a metric, each reason once."""
    table = material.metrics
    mine = table[(table["workload"] == workload) & (table["metric"] == metric) & table["value"].isna()]
    mine = mine[mine["verdict"].eq("valid") & mine["kind"].ne("control") & mine["migration"].notna()]
    return joined(mine["reason"]) or "no valid migration: see Validity"


def joined(reasons: Iterable[object]) -> str:
    """Different reasons in order of appearance; absent ones left out."""
    return "; ".join(dict.fromkeys(str(reason) for reason in reasons if isinstance(reason, str) and reason))
