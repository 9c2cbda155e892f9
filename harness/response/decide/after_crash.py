"""What to do about a response that was open when its controller died: a table, looked up one step at a time.

Three facts decide: how far the response had got, what each host's libvirt says of the domain now, and
whether a migration job runs. Each look gives one step; after a step that changes something the hosts are
asked again, so that dying once more in between needs no rule of its own. Two things must never come of it:
two copies of a VM that run, and a second migration of it.

What makes a step safe is the way in which libvirt migrates. The source is stopped before the destination
may run, and the copy at the destination has run no instruction while it waits for its memory (here:
incoming). So an incoming copy may be destroyed, and the source let run again, as long as no job runs; a
copy that ran at the destination is the VM, and what is stopped at the source is then a leftover. Copies
that run on two hosts never come of a migration: one was started by hand. The one where the registry does not
place the VM is suspended, which stops the damage to the shared disk at once, can be taken back, and
destroys no evidence; which of the two is right is a person's question. So is a stopped copy that no
migration explains. Where a host does not answer, nothing is known and nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

OpenState: TypeAlias = Literal["begun", "migrating", "arrived"]
"""How far a response had got; `migrating` is stored before libvirt is asked."""

Intent: TypeAlias = Literal["move", "hold", "suspend", "shut-down"]
"""What had been decided."""

ClosedState: TypeAlias = Literal[
    "completed", "failed", "called-off", "held", "suspended", "shut-down", "abandoned"
]


class Domain(StrEnum):
    """What a host's libvirt says of the VM."""

    RUNNING = "running"
    PAUSED = "paused"
    """Stopped with its memory, and whole; also the source of a migration that stopped it."""
    INCOMING = "incoming"
    """It waits for a migration's memory and has run nothing yet; libvirt: paused for a migration."""
    SPLIT = "split"
    """Stopped in post-copy: a part of its memory is on the other host."""
    OFF = "off"
    """Defined, without memory."""
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """The host does not answer."""


_GONE = frozenset({Domain.OFF, Domain.ABSENT})


class Step(StrEnum):
    """What to do now."""

    LOOK_AGAIN = "look-again"
    """Nothing but wait: a host does not answer, or a migration is under way."""
    DESTROY = "destroy"
    """Destroy the copies on `hosts`; then look again."""
    RESUME = "resume"
    """Let the VM run on `hosts`; then look again."""
    SUSPEND = "suspend"
    """Stop the copies on `hosts`; then look again."""
    VERIFY = "verify"
    """The VM is at its destination: advance the response to `arrived` and check the VM's continuity."""
    CLOSE = "close"
    """Close the response as `closed`; a new decision follows."""
    ASK = "ask"
    """Only a person can tell; the response stays open, so that nothing else is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is found when a controller comes back.

    Attributes:
        state: How far the response had got.
        intent: What had been decided.
        source: Where the VM was.
        destination: Where it was to go; None where it was not to be moved.
        domains: What each host says of it, the source and the destination among them. Hosts cannot be asked
            at one moment: two looks in a row must have agreed.
        placed: Where the registry places it.
        job: Whether a migration job of it runs anywhere; None where a host that may know does not answer.
        suspended: Whether a response before this one had suspended it.
    """

    state: OpenState
    intent: Intent
    source: str
    destination: str | None
    domains: Mapping[str, Domain]
    placed: str
    job: bool | None
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The one thing to do now.

    Attributes:
        step: See :class:`Step`.
        why: The reason, for the record.
        hosts: Whose copies it is about; empty elsewhere.
        closed: What the response is closed as; None where it is not.
        alarm: Whether a person has to be told.
    """

    step: Step
    why: str
    hosts: tuple[str, ...] = ()
    closed: ClosedState | None = None
    alarm: bool = False


def recover(found: Found) -> Recovery:
    """The next step for an open response whose controller is gone.

    Raises:
        ValueError: A host that matters is missing from `domains`.
    """
    missing = {found.source, found.destination or found.source} - set(found.domains)
    if missing:
        raise ValueError(f"nothing is said of {', '.join(sorted(missing))}")
    return _moving(found) or _two_run(found) or _silent(found) or _elsewhere(found) or _by_place(found)


def _close(closed: ClosedState, why: str, *, alarm: bool = False) -> Recovery:
    return Recovery(step=Step.CLOSE, why=why, closed=closed, alarm=alarm)


def _ask(why: str) -> Recovery:
    return Recovery(step=Step.ASK, why=why, alarm=True)


def _on(found: Found, *states: Domain) -> tuple[str, ...]:
    return tuple(sorted(host for host, domain in found.domains.items() if domain in states))


def _moving(found: Found) -> Recovery | None:
    """What is still changing is nothing to act on, nor is what may be."""
    if found.job is None:
        why = "it is not known whether a migration runs; nothing is done on half knowledge"
        return Recovery(step=Step.LOOK_AGAIN, why=why, alarm=True)
    if found.job:
        return Recovery(step=Step.LOOK_AGAIN, why="a migration is under way; its end is waited for")
    return None


def _two_run(found: Found) -> Recovery | None:
    """Running twice: all stop but the one that the registry places."""
    running = _on(found, Domain.RUNNING)
    if len(running) < 2:
        return None
    others = tuple(host for host in running if host != found.placed)
    why = f"it runs on {' and '.join(running)}; the registry places it on {found.placed}"
    return Recovery(step=Step.SUSPEND, why=why, hosts=others, alarm=True)


def _silent(found: Found) -> Recovery | None:
    """Half of what there is to know is nothing to act on."""
    silent = _on(found, Domain.UNKNOWN)
    if not silent:
        return None
    why = f"{', '.join(silent)} does not answer; nothing is done on half knowledge"
    return Recovery(step=Step.LOOK_AGAIN, why=why, hosts=silent, alarm=True)


def _elsewhere(found: Found) -> Recovery | None:
    """Copies on hosts that this response has nothing to do with, and copies that no rule can sort out."""
    mine = {found.source, found.destination}
    strange = tuple(
        host for host, domain in sorted(found.domains.items()) if host not in mine and domain not in _GONE
    )
    if strange:
        return _ask(f"there is a copy on {', '.join(strange)}, where this response had nothing to do")
    split = _on(found, Domain.SPLIT)
    if split:
        why = (
            f"a part of its memory is on {', '.join(split)}, as post-copy failed; neither copy can run alone"
        )
        return _ask(why)
    return None


def _by_place(found: Found) -> Recovery:
    """By where the VM is, on one host or two."""
    here = found.domains[found.source]
    there = Domain.ABSENT if found.destination is None else found.domains[found.destination]
    if here is Domain.INCOMING:
        return _ask(f"{found.source} waits for the memory of a migration that this response did not begin")
    if there in _GONE:
        return _gone(found) if here in _GONE else _at_source(found, here)
    if here in _GONE:
        return _at_destination(found, there)
    return _on_both(found, here, there)


def _gone(found: Found) -> Recovery:
    """No host has it with its memory."""
    if found.intent == "shut-down":
        return _close("shut-down", "it was to be shut down and is")
    return _close("failed", "no host has it any more: it ended, or its host lost it", alarm=True)


def _at_source(found: Found, here: Domain) -> Recovery:
    """It is where it was, and nowhere else."""
    if found.state == "arrived":
        why = (
            f"it had arrived at {found.destination} and is on {found.source} again; no response moved it back"
        )
        return _close("failed", why, alarm=True)
    paused = here is Domain.PAUSED
    if found.intent == "suspend":
        if paused:
            return _close("suspended", "it was to be suspended and is")
        return _close("abandoned", "it was to be suspended and runs: it is decided again")
    if found.intent == "move" and found.state == "migrating":
        if paused and not found.suspended:
            why = "the migration ended after it had stopped the source; no other copy is left"
            return Recovery(step=Step.RESUME, why=why, hosts=(found.source,))
        return _close("failed", "the migration ended without moving it")
    if paused and not found.suspended:
        why = "it is stopped, and not by this response: it is left so, and decided again"
        return _close("abandoned", why, alarm=True)
    return _close("abandoned", "nothing had been done yet: it is decided again")


def _at_destination(found: Found, there: Domain) -> Recovery:
    """It is where it was to go, and nowhere else."""
    if there is Domain.INCOMING:
        why = f"{found.destination} waits for memory that no host has any more"
        return _ask(why)
    if there is Domain.PAUSED and not found.suspended and found.state != "arrived":
        why = (
            f"it is stopped at {found.destination}, though it ran when it left; it is verified before it runs"
        )
        return Recovery(step=Step.VERIFY, why=why, alarm=True)
    return Recovery(step=Step.VERIFY, why=f"it is at {found.destination} and nowhere else")


def _on_both(found: Found, here: Domain, there: Domain) -> Recovery:
    """Two hosts have a copy with memory, and at most one of them runs."""
    destination = found.destination or found.source
    if there is Domain.INCOMING:
        why = f"the copy on {destination} has run nothing, and no migration will bring it more"
        return Recovery(step=Step.DESTROY, why=why, hosts=(destination,))
    if there is Domain.RUNNING and (found.state == "arrived" or _ran_when_it_left(found)):
        why = f"it runs on {destination}; what is stopped on {found.source} was left when it went"
        return Recovery(step=Step.DESTROY, why=why, hosts=(found.source,))
    first, second = f"{here} on {found.source}", f"{there} on {destination}"
    return _ask(f"it is {first} and {second}, which no migration leaves behind; either may be the VM")


def _ran_when_it_left(found: Found) -> bool:
    """Whether a copy that is stopped at the source was stopped by this migration, and by nothing before."""
    return found.state == "migrating" and not found.suspended
