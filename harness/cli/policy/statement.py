"""`sodbench policy statement`: what the registry knows of a server, for its host's aggregate in Nova."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import RegistryUrl
from harness.cli.policy import inputs as policy_inputs
from harness.cli.policy.inputs import Files, WarningCounts
from harness.clock import NS_PER_S
from harness.errors import PrerequisiteError, UsageError
from harness.policy.nova.publish import LIFE_NS
from harness.policy.nova.publish import statement as made_of
from harness.policy.nova.statement import MOST_LIFE_NS, Keys, read_keys, sealed
from harness.policy.nova.traits import traits


def statement(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="An enrolled server.")],
    keys: Annotated[Path, typer.Option("--keys", help="The file with the scheduler's keys.")],
    host: Annotated[
        str | None, typer.Option("--host", help="The server as Nova calls it; by default its own name.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The key's name; by default the last one of the file.")
    ] = None,
    life_s: Annotated[
        int,
        typer.Option(
            "--life-s", min=1, max=MOST_LIFE_NS // NS_PER_S, help="How long the statement holds at most."
        ),
    ] = LIFE_NS // NS_PER_S,
    warning_counts: WarningCounts = None,
    files: Files = None,
    registry: RegistryUrl = None,
) -> None:
    """Write what is known of a server now as JSON: metadata of its host's aggregate, and traits.

    The metadata carry an end and a code by the key, and count for this host alone (docs/openstack.md). Write
    them at intervals well below their life: a host without a fresh statement is not trusted.
    """
    known = _keys(keys)
    name = key or list(known)[-1]
    if name not in known:
        raise UsageError(f"there is no key {name!r} in {keys}", remedy=f"keys: {', '.join(known)}")
    table = policy_inputs.table(files)
    with attest_inputs.looking(registry) as store:
        (found,) = policy_inputs.servers(store, [server])
        now = store.now()
    stated = made_of(found, host or server, now, life_s * NS_PER_S)
    has = traits(found, table, now.monotonic_ns, warning_counts=bool(warning_counts))
    said = {"metadata": sealed(stated, name, known[name]), "traits": sorted(has)}
    typer.echo(json.dumps(said, indent=2))


def _keys(path: Path) -> Keys:
    try:
        if path.stat().st_mode & 0o027:
            raise PrerequisiteError(
                "the keys can be read or changed by others", where=str(path), remedy=f"chmod 640 {path}"
            )
        return read_keys(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise PrerequisiteError("the keys cannot be read", where=str(path), why=str(error)) from error
