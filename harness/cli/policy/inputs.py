"""What the user names to `sodbench policy`, and how it becomes a value: options, packages, files, servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness import json_source, yaml_model, yaml_source
from harness.attest.reference.files import load_policy
from harness.errors import InputFileError, UsageError
from harness.nearest import nearest
from harness.policy.capability import Table
from harness.policy.capability_file import load_table
from harness.policy.known import servers as known
from harness.policy.nova.metadata import from_metadata
from harness.policy.request import Request, request
from harness.policy.server import Server
from harness.policy.threats import CELLS, COLUMNS, Cell, Entity
from harness.registry.places import policy_file
from harness.registry.registry import Registry

MOST_METADATA_CHARS = 100_000
"""How long a file with a server's metadata may be."""

Vm = Annotated[str, typer.Argument(metavar="VM", help="The VM, as the registry names it, such as guest.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        help="A security option, 1 to 7: alone for confidentiality and integrity, with :c or :i for one of "
        "them. May be given several times.",
    ),
]
Packages = Annotated[
    list[str] | None,
    typer.Option("--package", "-p", help="A package (`sodbench policy packages`), likewise."),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-removed",
        metavar="ARCHITECTURE",
        help="Count what this architecture removes at run time as protection, such as NoHype's hypervisor.",
    ),
]
Metadata = Annotated[
    Path | None,
    typer.Option(
        "--metadata",
        metavar="FILE",
        help="Take what the metadata of a server of OpenStack ask for, in JSON as its client writes them.",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        envvar="SODBENCH_CAPABILITIES",
        help="A provider's own rows of the capability table, in YAML or CSV; may be given several times.",
    ),
]
WarningCounts = Annotated[
    bool | None,
    typer.Option(
        "--warning-counts/--no-warning-counts",
        help="A server with a warning is good enough, or not. By default as the appraisal policy says.",
        show_default=False,
    ),
]
AppraisalName = Annotated[
    str,
    typer.Option(
        "--policy", help="Appraisal policy of hosts that says whether a warning counts: shipped, or a file."
    ),
]


def warning_counts(said: bool | None, policy: str) -> bool:
    """Whether a server with a warning is good enough: as the user says, else as the appraisal policy does.

    Raises:
        UsageError: There is no such policy.
        InputFileError: Its file is wrong.
    """
    return load_policy(policy_file(policy)).warning_counts if said is None else said


def table(files: Sequence[Path] | None) -> Table:
    """The capability table with the rows of `files`.

    Raises:
        InputFileError: A file cannot be read, or something in it is wrong.
    """
    return load_table(files or ())


def stored(registry: Registry, vm: str) -> Request | None:
    """What is asked for `vm` in the registry; None where nothing is."""
    current = registry.protection.current(vm)
    if current is None or current.body is None:
        return None
    return Request.from_json(current.body)


def wanted(
    registry: Registry,
    vm: str | None,
    table: Table,
    named: tuple[Sequence[str] | None, Sequence[str] | None, Sequence[str] | None],
) -> Request:
    """What is asked for: by options, packages and accepted architectures, or else for `vm` in the registry.

    Raises:
        RequestRefusedError: What is named cannot be kept.
        UsageError: Nothing is named, and nothing is stored.
    """
    options, packages, accepted = named
    if options or packages or accepted:
        return request(options or (), packages or (), accepted or (), table=table)
    found = None if vm is None else stored(registry, vm)
    if found is None:
        raise UsageError(
            "no request" if vm is None else f"nothing is asked for {vm}",
            remedy="name a VM that something is asked for (`sodbench policy request`), or an --option",
        )
    return found


def of_metadata(path: Path) -> Request:
    """What a server's metadata in the file at `path` ask for, as Nova's API and client write them in JSON.

    Raises:
        InputFileError: The file cannot be read, or has no metadata.
        MetadataRefusedError: They ask in a way that cannot be understood.
        RequestRefusedError: They ask for what cannot be kept.
        UsageError: They ask for nothing.
    """
    source = json_source.parse(yaml_source.read_text(path), MOST_METADATA_CHARS)
    if source.problems:
        raise yaml_model.refusal(source.problems, str(path), InputFileError, "nothing was judged by it")
    told = source.data
    for name in ("server", "metadata", "properties"):
        within = told.get(name)
        told = within if isinstance(within, dict) else told
    found = {str(key): value for key, value in told.items() if isinstance(value, str)}
    if len(found) < len(told):
        raise InputFileError(
            "there are no metadata of a server",
            where=str(path),
            remedy="write the file with `openstack server show SERVER --format json --column properties`",
        )
    asked = from_metadata(found)
    if asked is None:
        raise UsageError(
            f"the metadata in {path} ask for nothing", remedy="a server without a request may be anywhere"
        )
    return asked


def servers(registry: Registry, named: Sequence[str] | None) -> tuple[Server, ...]:
    """The servers of these names as they are known now; all of them where none is named.

    Raises:
        UsageError: One is not enrolled.
    """
    found = {one.name: one for one in known(registry)}
    for name in named or ():
        if name not in found:
            raise UsageError(
                f"no server {name!r} is enrolled",
                why=f"enrolled: {', '.join(found) or 'none'}",
                remedy="sodbench attest enrol",
            )
    return tuple(found[name] for name in dict.fromkeys(named or found))


def cells(named: Sequence[str]) -> frozenset[Cell]:
    """The cells of these names; an entity's name means both of its cells.

    Raises:
        UsageError: There is none of that name.
    """
    known = (*COLUMNS, *Entity)
    for name in named:
        if name not in known:
            raise UsageError(
                f"there is no cell {name!r}",
                why=f"cells: {', '.join(COLUMNS)}",
                remedy=nearest(name, known) or "name one of them, or an entity for both of its cells",
            )
    return frozenset(cell for cell in CELLS if {str(cell), cell.entity.value} & set(named))
