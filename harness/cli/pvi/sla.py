"""`sodbench pvi sla`: what a provider promises, held against what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.terminal import Output, number_of
from harness.clock import NS_PER_S
from harness.errors import AgreementBrokenError
from harness.pvi import sla as agreements
from harness.pvi import sla_file
from harness.pvi.sla import Agreement, Answer, Finding, Kept, ResponseSeen, ServerSeen
from harness.registry import places
from harness.registry.registry import Registry, look

MOST_RESULTS = 100_000
"""Of a server: one a second in a day is less."""
MOST_RESPONSES = 10_000
"""Of a VM."""

sla = typer.Typer(
    help="The service level agreement: what the provider promises, and whether it was kept.",
    no_args_is_help=True,
)


@sla.callback()
def _group() -> None:
    """A group of one verb stays a group."""


@sla.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="AGREEMENT", help="The agreement, a YAML file.")],
    registry: RegistryUrl = None,
    as_json: Json = False,
) -> None:
    """Hold each promise against what the registry has of each server and each response.

    A gap is what the owner requires and the provider promises less than. Ends with 27 where there is a gap,
    or a promise that was not shown to be kept. Touches no machine (docs/pvi.md).
    """
    agreement = sla_file.load(file)
    with look(places.registry_url(registry)) as store:
        now_ns = store.now().realtime_ns
        servers = [_server(store, name) for name in agreement.servers]
        responses = [*_responses(store, agreement, now_ns)]
    found = (*agreements.gaps(agreement), *agreements.held(agreement, servers, responses, now_ns=now_ns))
    if as_json:
        listed = [asdict(one) for one in found]
        typer.echo(json.dumps({"schema": 1, "agreement": agreement.name, "findings": listed}, indent=2))
    else:
        _show(found)
    wanting = [one for one in found if one.kept is not Kept.KEPT]
    if wanting:
        raise AgreementBrokenError(
            f"the agreement {agreement.name} is not shown to be kept",
            where=str(file),
            why=f"{number_of(len(wanting), 'promise')} of {len(found)} broken or without evidence",
            remedy="ask the provider for what is broken; attest the servers for what is unknown",
        )


def _server(store: Registry, name: str) -> ServerSeen:
    return ServerSeen(
        name=name,
        answers=[
            Answer(at_ns=one.generated.realtime_ns, tier=one.tier, reason=one.reason)
            for one in store.results(name, limit=MOST_RESULTS)
        ],
        properties={key: one.value for key, one in store.properties(name).items() if not one.simulated},
    )


def _responses(store: Registry, agreement: Agreement, now_ns: int) -> Iterator[ResponseSeen]:
    """The responses of all enrolled guests that were begun in the window."""
    begin_ns = now_ns - round(agreement.window_s * NS_PER_S)
    for guest in store.attesters():
        for one in store.responses.of(guest.id, MOST_RESPONSES) if guest.kind == "guest" else ():
            if one.begun.realtime_ns >= begin_ns:
                ended_ns = None if one.open else one.changed.realtime_ns
                yield ResponseSeen(
                    number=one.number, vm=one.vm, began_ns=one.begun.realtime_ns, ended_ns=ended_ns
                )


def _show(found: tuple[Finding, ...]) -> None:
    output = Output()
    if not found:
        output.say("The agreement promises nothing.")
        return
    rows = [
        (one.about, one.promise, one.promised, one.found or "no evidence", one.kept.value) for one in found
    ]
    output.table(("what", "promise", "promised", "found", "kept"), rows)
