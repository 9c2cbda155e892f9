"""What the appendix says of the runs: machines, times, stand-ins, from evidence while it is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.analysis.claims.verdicts import Run
from harness.attest.reference.files import load_policy
from harness.evidence import folder
from harness.evidence.folder import RunFolder
from harness.files import read_json
from harness.json_types import Json
from harness.legible import legible

_MACHINES = ("a", "b", "client")
_POLICIES = (("policy.yml", "the hosts' TPMs"), ("policy-guest.yml", "the guests' virtual TPMs"))
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Something that took the place of what the paper used, or of hardware."""

    what: str
    used: str
    instead_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is told of one run.

    Attributes:
        name: Campaign and run.
        date: When it began, as a date, UTC.
        rig: Rig and accelerator, in words.
        trials: How many trials count.
        seconds: How long it took, or None where that is not known.
        stored_bytes: What its evidence takes, unpacked.
        link_bit_s: The migration link's rate, or None where none is stated.
        machines: By machine, what is known of it, by name.
        stand_ins: What stood in for something else in it.
    """

    name: str
    date: str
    rig: str
    trials: int
    seconds: float | None
    stored_bytes: int
    link_bit_s: int | None
    machines: Mapping[str, Mapping[str, str]]
    stand_ins: tuple[StandIn, ...]


def of(run: Run, root: RunFolder) -> Facts:
    """The facts of a run whose evidence is in `root`.

    Raises:
        RecordError: A file of it is damaged.
    """
    manifest = folder.read_manifest(root)
    link = manifest.get("link_bit_s")
    valid = run.table[run.table["verdict"] == "valid"]
    return Facts(
        name=f"{run.campaign}/{run.name}",
        date=legible(str(manifest.get("started_utc")))[:10],
        rig=f"{run.rig}, {run.accelerator}",
        trials=int(valid["trial"].nunique()),
        seconds=run.seconds,
        stored_bytes=run.stored_bytes,
        link_bit_s=link if type(link) is int else None,
        machines={name: machine for name in _MACHINES if (machine := _machine(root, name))},
        stand_ins=(*_generators(run), *_software_tpms(root)),
    )


def _machine(root: RunFolder, name: str) -> dict[str, str]:
    path = root.environment(name, "before")
    found = read_json(path) if path.is_file() else {}
    return {key: _text(value) for key, value in found.items() if type(value) in {str, int, float}}


def _text(value: Json) -> str:
    return legible(str(value)[:_LONGEST])


def _generators(run: Run) -> Iterator[StandIn]:
    table = run.table[run.table["substitutes"].fillna("").ne("")]
    rows = table[["workload", "generator", "substitutes"]].drop_duplicates().sort_values("workload")
    for workload, generator, paper in rows.itertuples(index=False):
        yield StandIn(what=f"load of {_text(workload)}", used=_text(generator), instead_of=_text(paper))


def _software_tpms(root: RunFolder) -> Iterator[StandIn]:
    """TPMs that are programs, where the policies that the run was judged by accept them."""
    for file, whose in _POLICIES:
        path = root.attestation / file
        if not path.is_file():
            continue
        policy = load_policy(path)
        if policy.software_tpm != "refuse":
            used = f"swtpm, which the policy {_text(policy.name)} accepts"
            yield StandIn(what=whose, used=used, instead_of="a TPM 2.0 in hardware")
