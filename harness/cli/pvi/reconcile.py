"""`sodbench pvi reconcile`: the owner's log next to the provider's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import Output, number_of
from harness.clock import NS_PER_S
from harness.errors import UnreconciledError
from harness.pvi import event_log
from harness.pvi import reconcile as pairing
from harness.pvi.event_log import Side
from harness.pvi.reconcile import Oddity, Reconciled

SHOWN = 100
"""How many oddities a terminal is given; JSON has all."""


def reconcile(
    inside: Annotated[Path, typer.Argument(metavar="INSIDE", help="The owner's log.")],
    outside: Annotated[Path, typer.Argument(metavar="OUTSIDE", help="The provider's log.")],
    vague_s: Annotated[
        float,
        typer.Option(
            metavar="S", min=0, max=3600, help="An event whose clock may be off by more is not paired."
        ),
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Pair the owner's log with the provider's, and name what one of them has alone.

    The time in which two events count as one is widened by the uncertainty of both clocks. Where something is
    odd the command ends with 25. A log that is damaged is refused with 12. Touches no machine (docs/pvi.md).
    """
    logs = event_log.read(inside, Side.INSIDE), event_log.read(outside, Side.OUTSIDE)
    done = pairing.reconcile(*logs, vague_s=vague_s)
    if as_json:
        typer.echo(json.dumps(_document(done), indent=2, sort_keys=True))
    else:
        _show(done)
    if done.oddities:
        raise UnreconciledError(
            f"the two logs do not agree: {number_of(len(done.oddities), 'event')} without a counterpart",
            where=f"{inside}, {outside}",
            remedy="ask the side that lacks the counterpart; `--json` lists every event with its line",
        )


def _document(done: Reconciled) -> dict[str, object]:
    return {
        "schema": 1,
        "pairs": done.pairs,
        "unjudged": done.unjudged,
        "oddities": [
            {
                "side": one.side.value,
                "kind": one.kind,
                "guest": one.guest,
                "t_ns": one.t_ns,
                "line": one.line,
                "says": one.says,
            }
            for one in done.oddities
        ],
    }


def _show(done: Reconciled) -> None:
    output = Output()
    output.say(f"{number_of(done.pairs, 'pair')}; no rule speaks of {number_of(done.unjudged, 'event')}.")
    if done.oddities:
        output.table(("when", "side", "line", "guest", "what"), [_row(one) for one in done.oddities[:SHOWN]])
    if len(done.oddities) > SHOWN:
        output.say(f"{len(done.oddities) - SHOWN} more: --json lists them.")


def _row(one: Oddity) -> tuple[str, str, str, str, str]:
    seconds, rest = divmod(one.t_ns, NS_PER_S)
    when = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"
    return when, one.side.value, str(one.line), one.guest, one.says
