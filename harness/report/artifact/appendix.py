"""The appendix for artifact evaluation: what is in the artifact, how it is used, and what to expect.

Times, disk, machines and stand-ins are those of the evidence; nothing in it is typed in by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.claims.model import Paper
from harness.analysis.claims.rule import Verdict
from harness.analysis.claims.verdicts import Judgement
from harness.report.artifact import layout
from harness.report.artifact.facts import Facts, StandIn
from harness.report.artifact.statement import Wheel
from harness.report.document.model import (
    MISSING,
    Block,
    Cell,
    Code,
    Column,
    Document,
    Paragraph,
    Section,
    Table,
)
from harness.report.reproduced import command

_SHOWN = (
    ("cpu_model", "CPU"),
    ("cores", "Cores"),
    ("memory_bytes", "Memory"),
    ("virtualization", "Virtualization"),
    ("distro", "System"),
    ("kernel", "Kernel"),
    ("qemu_version", "QEMU"),
    ("libvirt_version", "libvirt"),
)
_TEXT = (Column(label="Item", numeric=False), Column(label="Value", numeric=False))
_RESUMED = "the run was resumed, so that its clock says too little"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the appendix is made of.

    Attributes:
        papers: The papers with the judgements of their claims.
        facts: What is told of each run.
        wheel: The program.
        signer: SHA-256 of the signer's public key.
    """

    papers: Sequence[tuple[Paper, Sequence[Judgement]]]
    facts: Sequence[Facts]
    wheel: Wheel
    signer: str


def document(material: Material) -> Document:
    """The appendix as a document, to be rendered as any report."""
    titles = "; ".join(paper.paper for paper, _ in material.papers)
    rigs = dict.fromkeys(one.rig for one in material.facts)
    return Document(
        title="Artifact appendix",
        subtitle=f"sodbench {material.wheel.version}, on: {titles}",
        banner=f"Judged by runs of: {'; '.join(rigs)}",
        sections=[
            Section(key="abstract", title="Abstract", blocks=[Paragraph(text=_abstract(material))]),
            Section(key="checklist", title="Check-list (meta-information)", blocks=[_checklist(material)]),
            Section(key="description", title="Description", blocks=[*_description(material.facts)]),
            Section(key="installation", title="Installation", blocks=[*_installation(material.wheel)]),
            Section(key="workflow", title="Experiment workflow", blocks=[*_workflow()]),
            Section(key="expected", title="Evaluation and expected results", blocks=[*_expected(material)]),
            Section(key="stand-ins", title="Stand-ins", blocks=[*_stand_ins(material.facts)]),
            Section(key="custom", title="Experiment customization", blocks=[Paragraph(text=_CUSTOM)]),
        ],
    )


_CUSTOM = (
    "Campaigns are YAML files: workloads, schedule, guests, migration options and repetitions can be changed "
    "(docs/campaigns.md). Claims are YAML files too: --claims names a folder of others (docs/reproduce.md)."
)


def _abstract(material: Material) -> str:
    claims = [one for _, judged in material.papers for one in judged]
    counts: dict[str, int] = {}
    for one in claims:
        counts[str(one.verdict)] = counts.get(str(one.verdict), 0) + 1
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return (
        f"The artifact holds the evidence of {len(material.facts)} runs, {len(claims)} claims of the papers, "
        f"and the verdict on each by a written rule: {said}. It also holds the program that judged them. The "
        "verdicts come out of the evidence again on any machine. The runs can be repeated on one machine, "
        "with KVM or without it, or on two hosts."
    )


def _checklist(material: Material) -> Table:
    facts = material.facts
    spent = [one.seconds for one in facts if one.seconds is not None]
    links = sorted({one.link_bit_s for one in facts if one.link_bit_s})
    metrics = {
        one.claim.experiment.metric
        for _, judged in material.papers
        for one in judged
        if one.claim.experiment is not None and one.parts
    }
    rows = (
        ("Program", f"sodbench {material.wheel.version}, Python 3.11 or later"),
        ("Binary", f"{layout.PROGRAM}/{material.wheel.name}, SHA-256 {material.wheel.sha256}"),
        (
            "Data set",
            f"{len(facts)} runs below {layout.EVIDENCE}/, "
            f"{sum(one.trials for one in facts)} trials that count",
        ),
        ("Run-time environment", _values(facts, ("distro", "kernel", "qemu_version", "libvirt_version"))),
        ("Hardware", _values(facts, ("cpu_model",))),
        ("Migration link", "; ".join(f"{one / 1e9:g} Gb/s" for one in links) or MISSING),
        ("Metrics", ", ".join(sorted(metrics)) or MISSING),
        ("Output", "a page of verdicts, one row a claim, as HTML and Markdown"),
        ("Experiments", f"campaigns {', '.join(sorted({one.name.split('/')[0] for one in facts}))}"),
        ("Disk space", f"{sum(one.stored_bytes for one in facts) / 1e6:.0f} MB for the evidence, unpacked"),
        ("Time of the experiments", _time(spent, len(facts) - len(spent))),
        ("Code licence", "Apache-2.0"),
        ("Signed by", f"the key with the SHA-256 {material.signer}"),
    )
    return Table(
        key="check-list",
        title="The artifact at a glance",
        columns=_TEXT,
        rows=[[Cell(text=name), Cell(text=value)] for name, value in rows],
    )


def _time(seconds: Sequence[float], unknown: int) -> str:
    if not seconds:
        return "not known: every run was resumed"
    rest = f", and {unknown} that were resumed" if unknown else ""
    return f"{sum(seconds) / 60:.0f} min for {len(seconds)} runs, measured{rest}"


def _values(facts: Sequence[Facts], keys: Sequence[str]) -> str:
    """The different values that the machines of the runs have, each once and with its name."""
    names = dict(_SHOWN)
    machines = [machine for one in facts for machine in one.machines.values()]
    found = dict.fromkeys(f"{names[key]} {one[key]}" for key in keys for one in machines if key in one)
    return "; ".join(found) or MISSING


def _description(facts: Sequence[Facts]) -> Iterator[Block]:
    yield Paragraph(
        text=f"The artifact is one ZIP archive. Its files are listed in {layout.CRATE} (RO-Crate 1.2), their "
        f"sums in {layout.SUMS}, which the signature covers. To check it takes Python alone. To repeat the "
        "runs takes a machine with Debian 12 or later, root, two cores and fifteen gigabytes of disk, or two "
        "hosts and a client; without KVM the guests are emulated. The bill of materials, "
        f"{layout.SBOM}, names every package."
    )
    latest = max(facts, key=lambda one: one.date)
    names = list(latest.machines)
    yield Table(
        key="machines",
        title=f"The machines of {latest.name}, as they said themselves",
        columns=[Column(label="Fact", numeric=False), *(Column(label=name, numeric=False) for name in names)],
        rows=[
            [Cell(text=label), *(_fact(latest.machines[name], key) for name in names)]
            for key, label in _SHOWN
            if any(key in machine for machine in latest.machines.values())
        ],
    )


def _fact(machine: Mapping[str, str], key: str) -> Cell:
    value = machine.get(key)
    if value is None:
        return Cell(text=MISSING, reason="not stated by the machine")
    if key == "memory_bytes" and value.isdigit():
        return Cell(text=f"{int(value) / 2**30:.1f} GiB")
    return Cell(text=value)


def _installation(wheel: Wheel) -> Iterator[Block]:
    yield Paragraph(
        text="In an environment of its own, from the artifact's own files; pip checks each package's hash. "
        "On Debian it takes python3-venv, python3-dev, gcc, pkg-config and libvirt-dev:"
    )
    yield Code(
        text=f"python3 -m venv venv\nvenv/bin/pip install --require-hashes -r {layout.LOCK}\n"
        f"venv/bin/pip install --no-deps {layout.PROGRAM}/{wheel.name}"
    )


def _workflow() -> Iterator[Block]:
    yield Paragraph(
        text="Check the artifact, without a machine; KEY is the signer's public key, which comes another way:"
    )
    yield Code(text="sodbench artifact verify ARTIFACT.zip --key KEY")
    yield Paragraph(text="Make the page of verdicts again from the evidence:")
    yield Code(text=f"sodbench reproduce --from {layout.EVIDENCE} --claims {layout.CLAIMS} --unsigned")
    yield Paragraph(
        text="Repeat the runs: first the short way, which shows that everything works, then all of them:"
    )
    yield Code(text="sodbench reproduce --smoke\nsodbench reproduce --full")


def _expected(material: Material) -> Iterator[Block]:
    yield Table(
        key="runs",
        title="What each run took",
        columns=[
            Column(label="Run", numeric=False),
            Column(label="Rig", numeric=False),
            Column(label="Trials"),
            Column(label="Time", unit="min"),
            Column(label="Disk", unit="MB"),
        ],
        rows=[_took(one) for one in material.facts],
        caption="Trials: those that count. Time: by the run's own clock, from its first event to its last.",
    )
    minutes = {one.name: one.seconds for one in material.facts}
    for at, (paper, judged) in enumerate(material.papers, start=1):
        yield Table(
            key=f"expected-{at}",
            title=paper.paper,
            columns=[
                Column(label="Claim", numeric=False),
                Column(label="Verdict", numeric=False),
                Column(label="Repeat with", numeric=False),
                Column(label="Time", unit="min"),
            ],
            rows=[_row(one, minutes) for one in judged],
            caption=f"Values and intervals are in {layout.VERDICTS}/report.html. A repeated run has other "
            "values; a verdict that differs is a finding.",
        )


def _took(one: Facts) -> list[Cell]:
    return [
        Cell(text=one.name),
        Cell(text=one.rig),
        Cell(text=str(one.trials)),
        Cell(text=MISSING, reason=_RESUMED) if one.seconds is None else Cell(text=f"{one.seconds / 60:.0f}"),
        Cell(text=f"{one.stored_bytes / 1e6:.1f}"),
    ]


def _row(one: Judgement, seconds: Mapping[str, float | None]) -> list[Cell]:
    took = None if one.run is None else seconds.get(f"{one.run.campaign}/{one.run.name}")
    why = "the claim takes no run" if one.run is None else _RESUMED
    return [
        Cell(text=one.claim.id, below=one.claim.place),
        Cell(text=str(one.verdict), reason=one.why if one.verdict is Verdict.NOT_TESTED else ""),
        Cell(text=command(one)),
        Cell(text=MISSING, reason=why) if took is None else Cell(text=f"{took / 60:.0f}"),
    ]


def _stand_ins(facts: Sequence[Facts]) -> Iterator[Block]:
    found: dict[StandIn, list[str]] = {}
    for one in facts:
        for stand_in in one.stand_ins:
            found.setdefault(stand_in, []).append(one.name.split("/")[0])
    if not found:
        yield Paragraph(
            text="The evidence names none: every generator is the paper's, and no TPM is a program."
        )
        return
    yield Paragraph(
        text="What the runs used in place of what the paper used, or of hardware, as their evidence says. "
        "Guests under the accelerator tcg are emulated: their CPUs are many times slower than the paper's."
    )
    yield Table(
        key="stand-ins-used",
        title="Stand-ins",
        columns=[
            Column(label=label, numeric=False) for label in ("What", "Used", "In place of", "Campaigns")
        ],
        rows=[
            [
                Cell(text=one.what),
                Cell(text=one.used),
                Cell(text=one.instead_of),
                Cell(text=", ".join(dict.fromkeys(names))),
            ]
            for one, names in found.items()
        ],
    )
