"""`sodbench archive`: a run that has ended packed small, for keeping, and unpacked to the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import Output
from harness.evidence import archive as archives
from harness.evidence import folder as store

archive = typer.Typer(
    help="Pack a run that has ended into a small archive, and unpack it to the same bytes.",
    no_args_is_help=True,
)


@archive.command()
def pack(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below.", metavar="RUN"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The archive's folder; it is created.", metavar="ARCHIVE")],
) -> None:
    """Pack RUN into the folder ARCHIVE: series as Parquet, journal and logs compressed, with their sums.

    Evidence that was changed since the run ended is refused with 21.
    """
    size = archives.pack(store.find(run), out)
    Output().say(f"{out}: {size / 1e6:.2f} MB")


@archive.command()
def unpack(
    packed: Annotated[Path, typer.Argument(help="What `pack` made.", metavar="ARCHIVE")],
    out: Annotated[Path, typer.Argument(help="The run's folder; it is created.", metavar="RUN")],
) -> None:
    """Restore the run of ARCHIVE to the folder RUN; every file is checked against its sum first.

    An archive whose files were changed is refused with 21.
    """
    Output().say(str(archives.unpack(packed, out).root))
