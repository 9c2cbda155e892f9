"""`sodbench pvi image`: master images of application servers, encrypted once and checked at every use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from harness.attest.reference.values import to_yaml
from harness.cli.attest.inputs import RegistryUrl
from harness.cli.pvi import inputs
from harness.cli.pvi.inputs import Folder, Inventory, PassphraseFile
from harness.cli.terminal import Output, number_of
from harness.clock import MonotonicClock
from harness.errors import UsageError
from harness.files import write_atomic
from harness.legible import legible
from harness.pvi.images import masters, overlays
from harness.pvi.images.manifest import ImageName, Manifest
from harness.pvi.images.qemu_img import Format

Name = Annotated[str, typer.Argument(metavar="IMAGE", help="What the image is called.")]
Number = Annotated[
    int | None, typer.Option("--number", min=1, help="Which version of it; by default the newest.")
]

image = typer.Typer(
    help="Master images: imported, encrypted once, signed with what is in them, checked at every use.",
    no_args_is_help=True,
)


@image.command("import")
def import_(
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The image: qcow2 or raw.")
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", help="raw or qcow2; by default as the file begins.")
    ] = None,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Import an image as the next version of its name, encrypted with a key of its own.

    The signed manifest has its packages and the SHA-256 of each of its files, which are reference values for
    guests that run it (docs/pvi.md).
    """
    _require_name(name)
    clock = MonotonicClock()
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        made, formatted = masters.take_in(factory, name, file, format_, clock)
    output = Output()
    output.say(f"{made.name}, version {made.number}: {_content(made)}.")
    output.say(f"Formatting took {formatted.took_s:.1f} s, at try {formatted.tries}.")


@image.command()
def verify(
    name: Name,
    number: Number = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            dir_okay=False,
            help="Write the image's files there, as reference values for `sodbench attest`.",
        ),
    ] = None,
    folder: Folder = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Check that manifest and disk of an image are what was imported and signed; else ends with 21."""
    with inputs.opened(folder, registry_url, None, inventory) as factory:
        found = masters.opened(factory, name, number).manifest
    output = Output()
    output.say(f"{found.name}, version {found.number}, is as it was imported: {_content(found)}.")
    if reference is not None:
        values = found.reference()
        if values is None:
            raise UsageError("the image has no reference values", where=legible(name), why=legible(found.why))
        write_atomic(reference, to_yaml(values).encode())
        output.say(f"{reference}: {number_of(len(values.ima.files), 'file')}")


@image.command("list")
def list_(folder: Folder = None, inventory: Inventory = None, registry_url: RegistryUrl = None) -> None:
    """List the images that the factory has. Checks none; `verify` does."""
    with inputs.opened(folder, registry_url, None, inventory) as factory:
        found = factory.held.state.images
    rows = [(one.name, str(one.number), one.manifest) for one in found]
    Output().table(("image", "version", "SHA-256 of its manifest"), rows, right=("version",))


@image.command()
def pool(
    name: Name,
    size: Annotated[int, typer.Option("--size", min=1, help="How many disks the pool is to have.")] = 2,
    number: Number = None,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Format disks of guests ahead: encrypted overlays on the image, each with a random key.

    Formatting takes seconds; `disk` takes a formatted one.
    """
    clock, output = MonotonicClock(), Output()
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        master = masters.opened(factory, name, number)
        for one in overlays.fill(factory, master, size, clock):
            output.say(f"Formatting took {one.took_s:.1f} s, at try {one.tries}.")
        kept = overlays.kept(factory, master)
    output.say(f"The pool of {name}, version {master.manifest.number}, has {number_of(kept, 'disk')}.")


@image.command()
def disk(
    name: Name,
    guest: Annotated[str, typer.Argument(metavar="UUID", help="The guest's UUID.")],
    number: Number = None,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Give a guest its disk: an encrypted overlay on the image, from the pool where that has one.

    Disk and locked key are in the factory's folder; the audit log has which guest got which image.
    """
    clock = MonotonicClock()
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        master = masters.opened(factory, name, number)
        given = overlays.give(factory, master, guest, clock)
    output = Output()
    output.say(f"{given.folder}: a disk on {name}, version {master.manifest.number}.")
    if given.formatted is None:
        output.say(f"It came from the pool; giving it out took {given.took_s:.1f} s.")
    else:
        took = f"{given.took_s:.1f} s, of which formatting {given.formatted.took_s:.1f} s"
        output.say(f"The pool was empty; giving it out took {took}.")


def _content(made: Manifest) -> str:
    size = f"{made.size_bytes / 2**30:.1f} GiB"
    if made.files is None:
        return f"{size}, its files are not listed: {made.why}"
    known = "no list of packages" if made.packages is None else number_of(len(made.packages), "package")
    return f"{size}, {number_of(len(made.files), 'file')}, {known}"


def _require_name(name: str) -> None:
    try:
        TypeAdapter(ImageName).validate_python(name)
    except ValidationError as error:
        raise UsageError(
            "this is no name of an image",
            where=legible(name),
            why="a name has 1 to 64 lower-case letters, digits and dashes",
        ) from error
