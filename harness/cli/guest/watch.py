"""`sodbench watch`: guards the rig's guest: where its server is no longer good enough, it is moved."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.guest.inputs import GuardOptions, Interval, ResponsePolicyName, guarding
from harness.cli.inputs import Results
from harness.cli.progress import of_response
from harness.cli.rigs import images, vtpm_key
from harness.cli.terminal import Output
from harness.clock import NS_PER_S, MonotonicClock
from harness.evidence import folder as store
from harness.evidence.journal import Event, Journal
from harness.evidence.record import Record
from harness.interrupt import Interrupt, on_signals
from harness.response.service import Service
from harness.rig.session import open_rig

Ends = Annotated[
    float | None, typer.Option("--for", min=0, help="End after this many seconds; otherwise with Ctrl-C.")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="The seed of moving targets' times; by default a random one."),
]


@guarding
def watch(
    guard: GuardOptions,
    response_policy: ResponsePolicyName = None,
    interval_s: Interval = 5.0,
    ends_s: Ends = None,
    seed: Seed = None,
    results: Results = Path("results"),
) -> None:
    """Guard the guest of a rig: attest its servers, validate its request, move it when that no longer holds.

    Takes over what a controller that died left open. One controller guards a rig at a time: a second one is
    refused with 7. What happens is printed, journalled under --results, and kept in the audit log. Ctrl-C
    ends the watch and leaves the guest where it is.
    """
    clock, output = MonotonicClock(), Output()
    pair = guard.pair()
    chance = secrets.randbits(63) if seed is None else seed
    given = guard.settings(pair, response=response_policy, interval_s=interval_s, seed=chance)
    show = _printer(output, clock.now_ns())
    with (
        on_signals(Interrupt()) as interrupt,
        attest_inputs.registry(guard.registry, pair.name) as kept,
        open_rig(pair, "sodbench watch", clock, vtpm_key=vtpm_key(), images=images()) as rig,
    ):
        folder = store.create(results, "watch")
        output.say(f"Journal: {folder.journal}")
        with Journal(folder.journal, clock, next_seq=0, listener=show) as journal:
            record = Record(journal=journal, clock=clock, folder=folder.root, trial="watch", attempt=1)
            Service(rig, kept, given, record, interrupt).run(ends_s)


def _printer(output: Output, begin_ns: int) -> Callable[[Event], None]:
    """Prints each event of the response that people should see, in s since `begin_ns`."""

    def show(event: Event) -> None:
        text = of_response(event)
        if text:
            output.say(f"{(event.t_ns - begin_ns) / NS_PER_S:9.3f} s  {text}")

    return show
