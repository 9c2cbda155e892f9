"""`sodbench audit`: the log of who was let in, what was found, asked, decided and done. Touches no machine.

A registry that is not there is never made here: an empty log of a mistyped name would be whole.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest.inputs import Json, RegistryUrl
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.files import write_atomic
from harness.registry import places
from harness.registry.audit import export as audit_export
from harness.registry.audit.chain import AuditEntry, AuditHead
from harness.registry.audit.chain import as_json as told
from harness.registry.registry import Registry, look

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")

audit = typer.Typer(
    help="The audit log of findings, requests, decisions and actions; `verify` detects edits of it "
    "(docs/registry.md).",
    no_args_is_help=True,
)


@audit.command()
def verify(
    registry: RegistryUrl = None,
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="N:DIGEST", help="A head noted earlier, which must be on the chain."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            exists=True,
            dir_okay=False,
            readable=True,
            help="An export to check instead of the registry.",
        ),
    ] = None,
    received: Annotated[
        Path | None,
        typer.Option(
            "--received",
            exists=True,
            dir_okay=False,
            readable=True,
            help="A log of the daemon that gets the anchors; each in it must be in the file too.",
        ),
    ] = None,
) -> None:
    """Check that the log, and every row it speaks of, is as it was written; print its head.

    Heads of the log that were signed and kept outside the registry (docs/registry.md) must be on it. A
    missing anchor is told: a writer of the registry can write a whole new log, and only a head from
    earlier tells them apart.
    """
    noted = None if head is None else named_head(head)
    if file is not None and received is not None:
        raise UsageError("an export has no anchors", remedy="leave --file or --received out")
    if file is not None:
        with file.open("rb") as opened:
            found = audit_export.verify(audit_export.bounded(opened, str(file)), noted, str(file))
    else:
        with _opened(registry) as store:
            anchors = places.anchors()
            anchored = anchors.of(store.location)
            found = store.audit.verify(noted, anchored)
            copied = None if received is None else anchors.require_received(received, store.location)
        _tell_anchors(anchored, found)
        if copied is not None:
            _tell_received(anchored, copied, received)
    Output().say(f"whole: {found.number} {'entry' if found.number == 1 else 'entries'}, head {found}")


def _tell_anchors(anchored: Sequence[AuditHead], found: AuditHead) -> None:
    """Say up to where the log is anchored; what comes later could have been rewritten."""
    file, last = places.anchors().file, max((one.number for one in anchored), default=0)
    if not last:
        Output(error=True).say(
            f"warning: no anchor of this registry in {file}: a log that was rewritten as a whole would pass"
        )
    elif last < found.number:
        Output(error=True).say(f"warning: entries after number {last} are not anchored in {file}")


def _tell_received(anchored: Sequence[AuditHead], copied: Sequence[AuditHead], log: Path | None) -> None:
    """Say how many anchors the daemon's log lacks, which may be in an older log of it."""
    lacking = len(set(anchored) - set(copied))
    if lacking:
        Output(error=True).say(f"warning: {lacking} of {len(anchored)} anchors are not in {log}")


@audit.command()
def export(
    registry: RegistryUrl = None,
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="The file; by default standard output.")
    ] = None,
) -> None:
    """Write the whole log as JSON lines, the head first, for `sodbench audit verify --file`."""
    with _opened(registry) as store:
        if out is None:
            sys.stdout.writelines(store.audit.export())
            return
        write_atomic(out, "".join(store.audit.export()).encode())


@audit.command()
def show(
    registry: RegistryUrl = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only entries about this machine or VM.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="Only this kind: result, identity, placement, request, response, ..."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest entries.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest entries, oldest first. It checks nothing: that is `sodbench audit verify`."""
    with _opened(registry) as store:
        entries = store.audit.newest(limit, kind=kind, subject=subject)
    if as_json:
        typer.echo(json.dumps([told(one) for one in entries], indent=2))
        return
    output = Output()
    if not entries:
        output.say("No such entries.")
        return
    output.table(
        ("number", "when (UTC)", "kind", "subject", "what"),
        [(str(one.number), _when(one), one.kind, one.subject, _what(one)) for one in entries],
        right=("number",),
    )


def _opened(url: str | None) -> Registry:
    return look(places.registry_url(url))


def named_head(text: str) -> AuditHead:
    """The head that a user noted, as `sodbench audit verify` printed it.

    Raises:
        UsageError: The text is no head.
    """
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} is no head of a log",
            remedy="N:DIGEST, as `sodbench audit verify` printed it: a number, a colon, 64 digits 0-9a-f",
        )
    return AuditHead(number=int(found[1]), digest=found[2])


def _when(entry: AuditEntry) -> str:
    try:
        at = datetime.fromtimestamp(entry.at.realtime_ns / 1e9, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return f"{entry.at.realtime_ns} ns"  # no clock said so
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _what(entry: AuditEntry) -> str:
    """The entry's body in one line, without the digests of its rows."""
    return "  ".join(
        f"{name}: {value if isinstance(value, str) and value.isprintable() else json.dumps(value)}"
        for name, value in entry.body.items()
        if name != "rows" and value != ""
    )
