"""Whether the rig can carry a campaign, judged from its facts before anything is touched.

Pure: facts and plan in, problems out. The facts are those that ``verify.yml`` gathers. A fact that is missing
is a problem of its own, never taken for agreement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.campaign.gang import memory_problem
from harness.json_types import Json
from harness.pair_name import CLIENT, HOSTS

Facts = Mapping[str, Json]
"""One machine's facts, as verify.yml publishes them."""

MUST_AGREE: tuple[tuple[str, str], ...] = (
    ("cpu_model", "CPU model"),
    ("cpu_flags_hash", "CPU flags"),
    ("kernel", "kernel"),
    ("qemu_version", "QEMU version"),
    ("libvirt_version", "libvirt version"),
)
"""What must be equal on both hosts for a migration in either direction to mean the same (the paper's
"two hosts with identical hardware and software configurations", section VI)."""


FROM_ARCHIVES = ("mstone", "faban")
"""Generators that no distribution packages: the user names their archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a campaign cannot run: where, what, and the remedy."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.where}: {self.what} ({self.remedy})"


def problems(
    facts: Mapping[str, Facts],
    *,
    storage_need_bytes: int,
    needs: Mapping[str, Sequence[str]],
    guests_mib: Sequence[int] = (),
    link: str | None = None,
    encrypted_until: datetime | None = None,
) -> Sequence[Problem]:
    """Every reason why machines with these facts cannot carry the campaign; empty when they can.

    Args:
        facts: Machine by role: ``a``, ``b``, ``client``.
        storage_need_bytes: What the campaign needs on the shared storage.
        guests_mib: Memory of each guest of a trial, MiB.
        link: Why the migration link does not carry as many guests at once as are asked for, if so.
        encrypted_until: When the last encrypted migration may be, if there are any.
        needs: Workload to the tools it needs on the client, by their names in the fact ``generators``.
    """
    return [
        *_disagreements(facts),
        *_storage(facts, storage_need_bytes),
        *_generators(facts, needs),
        *_memory(facts, guests_mib),
        *_link(link),
        *([] if encrypted_until is None else _certificates(facts, encrypted_until)),
    ]


def _certificates(facts: Mapping[str, Facts], until: datetime) -> Iterator[Problem]:
    """Whether the hosts can encrypt migrations, to the campaign's end."""
    for role in ("a", "b"):
        own = facts.get(role, {})
        end, reasons = own.get("migration_certificate_until"), own.get("reasons")
        if not isinstance(end, str):
            reason = reasons.get("migration_certificate_until") if isinstance(reasons, Mapping) else None
            what = f"no certificate to encrypt migrations with ({reason or 'unknown'})"
        elif datetime.fromisoformat(end) < until:
            what = f"its certificate for migrations ends at {end}, before the campaign does"
        else:
            continue
        yield Problem(
            where=f"host {role}",
            what=what,
            remedy="set the clocks of hosts and controller by NTP, then run `sodbench provision --force`; "
            "`migration: {tls: false}` sends memory in the clear",
        )


def _memory(facts: Mapping[str, Facts], guests_mib: Sequence[int]) -> Iterator[Problem]:
    """Whether all guests fit into either host: sooner or later all of them are there."""
    for role in HOSTS if guests_mib else ():
        have = facts.get(role, {}).get("memory_bytes")
        what = memory_problem(guests_mib, have) if isinstance(have, int) else "memory unknown"
        if what is not None:
            yield Problem(
                where=f"host {role}",
                what=what,
                remedy="use fewer guests, smaller ones (guest.memory_mib), or larger hosts",
            )


def _link(problem: str | None) -> Iterator[Problem]:
    if problem is not None:
        yield Problem(
            where="migration link",
            what=problem,
            remedy="lower guests.concurrency or the load's rate, or set migration.auto_converge",
        )


def _generators(facts: Mapping[str, Facts], needs: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    found = facts.get(CLIENT, {}).get("generators")
    there = found if isinstance(found, Mapping) else {}
    for workload, tools in needs.items():
        for tool in tools:
            if not there.get(tool):
                yield Problem(
                    where=CLIENT,
                    what=f"{tool} is not installed, which the workload {workload} needs",
                    remedy="run `sodbench provision`; mstone and faban come from an archive that the "
                    f"inventory names as sodbench_{tool}_archive (docs/provisioning.md)"
                    if tool in FROM_ARCHIVES
                    else "run `sodbench provision`",
                )


def _disagreements(facts: Mapping[str, Facts]) -> Iterator[Problem]:
    for name, title in MUST_AGREE:
        values = {role: facts.get(role, {}).get(name) for role in HOSTS}
        unknown = [role for role, value in values.items() if value in (None, "")]
        if unknown:
            yield Problem(
                where=f"host {', '.join(unknown)}",
                what=f"{title} unknown",
                remedy="run `sodbench provision`, then try again",
            )
        elif len(set(values.values())) > 1:
            yield Problem(
                where="hosts a and b",
                what=f"{title} differs: {', '.join(f'{value} on {role}' for role, value in values.items())}",
                remedy="use two hosts with the same hardware and software",
            )


def _storage(facts: Mapping[str, Facts], need_bytes: int) -> Iterator[Problem]:
    markers = {role: facts.get(role, {}).get("storage_id") for role in HOSTS}
    if not all(markers.values()) or len(set(markers.values())) > 1:
        yield Problem(
            where="hosts a and b",
            what="the storage is not seen to be shared",
            remedy="mount the same NFS export on both (docs/provisioning.md)",
        )
    for role in HOSTS:
        free = facts.get(role, {}).get("storage_free_bytes")
        if not isinstance(free, int):
            yield Problem(
                where=f"host {role}", what="free space on the storage unknown", remedy="provision it"
            )
        elif free < need_bytes:
            yield Problem(
                where=f"host {role}",
                what=f"{free / 1e9:.1f} GB free on the storage, {need_bytes / 1e9:.1f} GB needed",
                remedy="free space there or use another storage",
            )
