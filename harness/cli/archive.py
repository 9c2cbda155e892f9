"""`sodbench archive`: a run that has ended packed small, for keeping, and unpacked to the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.signing import Key, Unsigned, own_key, signers_key
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

    Evidence that was changed since the run ended is refused with 21. The archive is signed with your
    verifier's key, which is made when it is first needed; a key that others may read is refused with 4.
    """
    key = own_key()
    size = archives.pack(store.find(run), out, key=key)
    Output().say(f"{out}: {size / 1e6:.2f} MB")


@archive.command()
def unpack(
    packed: Annotated[Path, typer.Argument(help="What `pack` made.", metavar="ARCHIVE")],
    out: Annotated[Path, typer.Argument(help="The run's folder; it is created.", metavar="RUN")],
    key: Key = None,
    unsigned: Unsigned = False,
) -> None:
    """Restore the run of ARCHIVE to the folder RUN; signature and every file's sum are checked first.

    An archive whose files were changed, that is not signed, or that another key signed is refused with 21.
    """
    signer = signers_key(key, unsigned=unsigned)
    Output().say(str(archives.unpack(packed, out, key=signer).root))
