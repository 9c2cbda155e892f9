"""`sodbench policy request` and `packages`: what customers ask for, kept for each VM with its history."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.policy import inputs as policy_inputs
from harness.cli.policy.inputs import Accepted, Files, Options, Packages, Vm
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.policy.packages import PACKAGES
from harness.policy.request import Request
from harness.policy.request import request as made_of
from harness.policy.threats import MEANINGS, OPTIONS
from harness.registry.protection import StoredRequest

Why = Annotated[str | None, typer.Option("--why", help="The reason, for the record. Storing needs one.")]
By = Annotated[str | None, typer.Option("--by", help="The requester; by default you.")]


def request(
    vm: Vm,
    options: Options = None,
    packages: Packages = None,
    accepted: Accepted = None,
    why: Why = None,
    by: By = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw the request.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Show all requests that were ever stored.")
    ] = False,
    files: Files = None,
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Ask for protection of a VM, which may be running; with nothing else named, show what is asked for.

    What cannot be kept is refused with its reason and 17, and what was asked for before stays: option 4,
    option 2 together with 5 or 6, nothing at all, and what is not known. A loop that watches the VM
    (`sodbench watch`) moves it where its server does not satisfy the new request.
    """
    asks = bool(options or packages or accepted) or (why is not None and not withdraw)
    if withdraw + history + asks > 1:
        raise UsageError("asking, --withdraw and --history are three things", remedy="do one at a time")
    if (asks or withdraw) and not why:
        raise UsageError("a change without a reason", remedy="--why TEXT, for the record")
    made = _made(options, packages, accepted, files) if asks else None
    opened = attest_inputs.registry if asks or withdraw else attest_inputs.looking
    with opened(registry) as store:
        if made is not None:
            _tell_weaker(vm, store.protection.current(vm), made)
            shown = [store.protection.set(vm, made.to_json(), by=by or _user(), why=why or "")]
        elif withdraw:
            shown = [store.protection.withdraw(vm, by=by or _user(), why=why or "")]
        elif history:
            shown = [*store.protection.history(vm)]
        else:
            shown = [one for one in (store.protection.current(vm),) if one is not None]
    if as_json:
        values = [_json(one) for one in shown]
        typer.echo(json.dumps(values if history else next(iter(values), None), indent=2))
    else:
        _show(vm, shown, history=history)


def _tell_weaker(vm: str, before: StoredRequest | None, made: Request) -> None:
    """Say what was asked for before and is not any more: the new request takes the place of the whole."""
    asked = None if before is None else _read(before)
    if asked is None:
        return
    lost = [str(cell) for cell, wants in asked.matrix().items() if wants and not made.matrix().get(cell)]
    more = sorted(made.accept_removed - asked.accept_removed)
    if lost:
        Output(error=True).say(f"warning: no longer asked for {vm}: {', '.join(lost)}")
    if more:
        Output(error=True).say(f"warning: now accepted for {vm}: what {', '.join(more)} removes")


def _user() -> str:
    """Who runs this; in a container the user's number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _made(options: Options, packages: Packages, accepted: Accepted, files: Files) -> Request:
    return made_of(options or (), packages or (), accepted or (), table=policy_inputs.table(files))


def packages(as_json: Json = False) -> None:
    """Show the packages and the options that each stands for."""
    if as_json:
        found = {
            name: {"options": list(one.options), "meaning": one.meaning} for name, one in PACKAGES.items()
        }
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [(name, ", ".join(one.options), one.meaning) for name, one in PACKAGES.items()]
    Output().table(("package", "options", "for"), rows)


def _read(one: StoredRequest) -> Request | None:
    return None if one.body is None else Request.from_json(one.body)


def _json(one: StoredRequest) -> dict[str, object]:
    asked = _read(one)
    return {
        "vm": one.vm,
        "number": one.number,
        "request": None if one.body is None else dict(one.body),
        "matrix": None if asked is None else {str(cell): wants for cell, wants in asked.matrix().items()},
        "by": one.by,
        "why": one.why,
        "at_realtime_ns": one.at.realtime_ns,
    }


def _show(vm: str, shown: Sequence[StoredRequest], *, history: bool) -> None:
    output = Output()
    if not shown:
        output.say(f"Nothing is asked for {vm}.")
    elif history:
        output.table(
            ("number", "when", "asked for", "by", "why"),
            [(str(one.number), _when(one), _text(_read(one)), one.by, one.why) for one in shown],
        )
    else:
        _show_one(output, shown[0])


def _show_one(output: Output, one: StoredRequest) -> None:
    asked = _read(one)
    said = f"Request {one.number} by {one.by}, {_when(one)}: {one.why}"
    if asked is None:
        output.say(f"Nothing is asked for {one.vm} any more.", said)
        return
    output.say(f"For {one.vm}: {_text(asked)}")
    output.table(
        ("option", "protected from", "confidentiality", "integrity"),
        [
            (
                str(number),
                MEANINGS[OPTIONS[number]],
                *("yes" if letter in aspects else "no" for letter in ("c", "i")),
            )
            for number, aspects in asked.options.items()
        ],
    )
    output.say(said)


def _text(asked: Request | None) -> str:
    """Such as ``options 1, 2:c; what NoHype removes is accepted``."""
    if asked is None:
        return "withdrawn"
    parts = [f"option{'s' if len(asked.options) > 1 else ''} {', '.join(asked.texts())}"]
    if asked.packages:
        parts.append(f"package{'s' if len(asked.packages) > 1 else ''} {', '.join(asked.packages)}")
    if asked.accept_removed:
        parts.append(f"accepted is what {', '.join(sorted(asked.accept_removed))} removes")
    return "; ".join(parts)


def _when(one: StoredRequest) -> str:
    return datetime.fromtimestamp(one.at.realtime_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
