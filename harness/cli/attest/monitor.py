"""`sodbench attest monitor`: attests machines again and again, and says what changes, as it changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from harness.attest.evidence import RefusedError
from harness.attest.examine.round import Examiner
from harness.attest.monitor import kinds as monitors
from harness.attest.monitor.kinds.contract import Means
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.schedule import LIFE_IN_INTERVALS
from harness.attest.monitor.shared import SharedAttesters
from harness.attest.monitor.standing import Change, Listener, Standing
from harness.attest.monitor.watch import Watch
from harness.cli import tiers
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest import machines
from harness.cli.attest.inputs import GuestPolicy, Json, Key, Machines, Policy, RegistryUrl
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.cli.terminal import Output
from harness.clock import NS_PER_S, Clock, MonotonicClock
from harness.errors import UsageError
from harness.interrupt import Interrupt, on_signals
from harness.pair_name import ONLY_GUEST
from harness.registry.registry import Registry
from harness.rig import pair as pairs
from harness.rig.pair import Pair

Interval = Annotated[float, typer.Option("--interval", help="Seconds from one look to the next.")]
Lifetime = Annotated[
    float | None,
    typer.Option(
        "--lifetime", help=f"Seconds until a result is too old; by default {LIFE_IN_INTERVALS:g} intervals."
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--monitor",
        metavar="MACHINE=MONITOR",
        help="A machine's monitor, such as b=hyperwall; its first one determines its architecture. By "
        "default tpm.",
    ),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept", metavar="MACHINE=NUMBER", help="Memory violations that you reviewed and accepted."
    ),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="How many looks run at once.")]
Hang = Annotated[float, typer.Option("--hang", help="Seconds after which an unfinished look counts as hung.")]
Ends = Annotated[
    float | None, typer.Option("--for", min=0, help="End after this many seconds; otherwise with Ctrl-C.")
]

_LOOK_UP_S = 3600.0
"""A wait has to have an end; nothing happens then."""


def monitor(
    machines: Machines = None,
    inventory: Inventory = None,
    run_inventory: RunInventory = False,
    interval_s: Interval = 20.0,
    lifetime_s: Lifetime = None,
    kinds: Kinds = None,
    accepted: Accepted = None,
    workers: Workers = 4,
    hang_s: Hang = 20.0,
    ends_s: Ends = None,
    key: Key = "ecc-p256",
    policy: Policy = None,
    guest_policy: GuestPolicy = "guest",
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Attest machines at an interval and print what changes: verdicts, silence, properties of servers.

    A machine that is not heard of in time is not trusted, and so is one whose result could not be stored.
    What a simulated monitor says is marked. Ctrl-C ends it; the exit code is 0 when every verdict was
    affirming then, else 14.
    """
    names, clock = attest_inputs.chosen(machines), MonotonicClock()
    life_s = LIFE_IN_INTERVALS * interval_s if lifetime_s is None else lifetime_s
    _check_times(interval_s, life_s, hang_s)
    chosen, limits = assigned(kinds or (), names), accepted_numbers(accepted or (), names)
    rig = pairs.load(inventory_file(inventory, "lab"), programs=run_inventory)
    listener = printer(clock.now_ns(), as_json=as_json)
    with (
        on_signals(Interrupt()) as interrupt,
        attest_inputs.registry(registry, rig.name) as store,
        means(rig, names, store, clock, (key, policy, guest_policy), limits) as given,
        TrustMonitor(
            watches(chosen, given, interval_s, life_s),
            clock=clock,
            listeners=[listener],
            store=store,
            settings=Settings(workers=workers, spare=workers, hang_s=hang_s),
        ) as running,
    ):
        running.start()
        _until_ended(clock, interrupt, ends_s)
        standings = running.standings()
    _show(standings, as_json=as_json)
    if not all(one.verdict.tier.trusted(warning_counts=False) for one in standings):
        raise typer.Exit(RefusedError.exit_code)


def _check_times(interval_s: float, lifetime_s: float, hang_s: float) -> None:
    if not 0 < interval_s <= lifetime_s:
        raise UsageError(
            f"results of {lifetime_s:g} s, looked for every {interval_s:g} s",
            why="each would be too old before the next comes",
            remedy="--lifetime of two intervals or more, and an --interval of more than 0",
        )
    if not hang_s > 0:
        raise UsageError(f"a look that hangs after {hang_s:g} s", remedy="--hang of more than 0")


def assigned(given: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """What watches each machine, from ``machine=monitor``; ``tpm`` where nothing is said.

    Raises:
        UsageError: A machine is not among `names`, or a monitor is named twice.
    """
    found: dict[str, list[str]] = {}
    for name, value in _pairs(given, names, "--monitor"):
        if value in found.setdefault(name, []):
            raise UsageError(f"{name} has the monitor {value} twice")
        found[name].append(value)
    return {name: found.get(name, ["tpm"]) for name in names}


def accepted_numbers(given: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Accepted memory violations of each machine, from ``machine=number``; 0 where nothing is said.

    Raises:
        UsageError: A machine is not among `names`, or what is given for one is not a number.
    """
    found = dict.fromkeys(names, 0)
    for name, value in _pairs(given, names, "--accept"):
        if not (value.isascii() and value.isdecimal()):
            raise UsageError(f"{value!r} is no number of memory violations", where=f"--accept {name}={value}")
        found[name] = int(value)
    return found


def _pairs(given: Sequence[str], names: Sequence[str], option: str) -> Iterator[tuple[str, str]]:
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value or name not in names:
            raise UsageError(
                f"{text!r} names no machine that is watched and what is said of it",
                where=option,
                remedy=f"MACHINE=..., with a machine of: {', '.join(names)}",
            )
        yield name, value


@contextmanager
def means(
    rig: Pair,
    names: Sequence[str],
    store: Registry,
    clock: Clock,
    judged: tuple[str, str | None, str],
    limits: Mapping[str, int],
) -> Iterator[Means]:
    """What monitors of the machines may use, while the channels to them are open.

    Args:
        rig: The machines.
        names: Which of them.
        store: The registry.
        clock: The controller's.
        judged: The type of key, the hosts' policy and the guest's.
        limits: Accepted memory violations by machine.

    Raises:
        PrerequisiteError: There are no reference values of a machine.
        InputFileError: A policy or reference file is wrong.
    """
    key, hosts, guest = judged
    kind = attest_inputs.key_type(key)
    policies = {name: attest_inputs.policy(name, rig, hosts, guest) for name in names}
    references = {
        name: attest_inputs.reference(name, attest_inputs.reference_place(name, rig), policies[name])
        for name in names
    }
    examiner = Examiner(store, policies.__getitem__, references.__getitem__, clock)
    with machines.reached(rig, names, clock) as found:
        shared = SharedAttesters(examiner, {name: found[name].attester for name in names}, clock)
        yield shared.means(kind, limits.__getitem__)


def watches(
    chosen: Mapping[str, Sequence[str]], given: Means, interval_s: float, lifetime_s: float
) -> list[Watch]:
    """The monitors of every machine, as they were chosen.

    Raises:
        UsageError: There is no such monitor.
        PrerequisiteError: A monitor cannot be imported.
    """
    return [
        Watch(
            subject=name,
            monitor=monitors.get(kind)(name, given),
            interval_s=interval_s,
            lifetime_s=lifetime_s,
            server=name != ONLY_GUEST,
            first=position == 0,
        )
        for name, several in chosen.items()
        for position, kind in enumerate(several)
    ]


def _until_ended(clock: Clock, interrupt: Interrupt, ends_s: float | None) -> None:
    """Wait for Ctrl-C or SIGTERM, or until `ends_s` have passed."""
    end_ns = None if ends_s is None else clock.now_ns() + round(ends_s * NS_PER_S)
    while not interrupt.asked:
        left_s = _LOOK_UP_S if end_ns is None else (end_ns - clock.now_ns()) / NS_PER_S
        if left_s <= 0:
            return
        clock.wait(left_s, interrupt.wake)


def printer(begin_ns: int, *, as_json: bool) -> Listener:
    """A listener that prints each change as one line, at once."""
    if as_json:
        return lambda change: _print_json(change.to_json())
    output = Output()
    return lambda change: output.say(line(change, begin_ns))


def _print_json(value: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def line(change: Change, begin_ns: int) -> str:
    """The change for a person: when, who, by whom, what it was and what it is, and why."""
    who = change.subject or "monitor"
    was = "" if change.before is None else f"{_text(change.before)} -> "
    became = f"{change.what} {was}{_text(change.after)}" if change.after is not None else ""
    why = ", ".join(part for part in (change.reason.value, change.detail) if part and part != "accepted")
    played = " [simulated]" if change.simulated else ""
    parts = [
        f"{(change.at_ns - begin_ns) / NS_PER_S:9.3f} s",
        f"{who:<8}",
        f"{change.monitor:<10}",
        change.kind,
    ]
    return "  ".join([*parts, *filter(None, (became, why))]) + played


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _show(standings: Sequence[Standing], *, as_json: bool) -> None:
    if as_json:
        for one in standings:
            _print_json(_row(one))
        return
    Output().table(
        ("machine", "monitor", "result", "reason", "missed"),
        [
            (
                one.subject,
                f"{one.monitor} (simulated)" if one.simulated else one.monitor,
                tiers.shown(one.verdict.tier),
                one.verdict.reason.value,
                str(one.missed),
            )
            for one in standings
        ],
    )


def _row(one: Standing) -> dict[str, object]:
    return {
        "kind": "standing",
        "subject": one.subject,
        "monitor": one.monitor,
        "simulated": one.simulated,
        "tier": one.verdict.tier.value,
        "reason": one.verdict.reason.value,
        "detail": one.verdict.detail,
        "missed": one.missed,
    }
