"""`sodbench artifact`: evidence, claims, verdicts and program as one signed file, and its check elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import resources
from harness.cli.signing import Key, Unsigned, own_key, own_public_file, signers_key
from harness.cli.terminal import Output
from harness.errors import UsageError
from harness.evidence import signature
from harness.report.artifact import build as building
from harness.report.artifact import verify as checking

artifact = typer.Typer(
    help="Bundle evidence, claims, verdicts and program as one signed file, and check such a file.",
    invoke_without_command=True,
)

Wheel = Annotated[
    Path | None,
    typer.Option("--wheel", help="The program's wheel; by default the one in dist/.", metavar="FILE"),
]


@artifact.callback()
def build(
    ctx: typer.Context,
    stored: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder of runs or archives; those of the claims' campaigns count.",
            metavar="FOLDER",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file that is written.")] = Path(
        "dist/sodbench-artifact.zip"
    ),
    wheel: Wheel = None,
    lock: Annotated[Path, typer.Option("--lock", help="The list that pins the program's packages.")] = Path(
        "requirements.lock"
    ),
    sbom: Annotated[
        Path, typer.Option("--sbom", help="The bill of materials that `make sbom` writes.")
    ] = Path("dist/sodbench.cdx.json"),
    claims: Annotated[
        Path | None, typer.Option("--claims", help="A folder of claims of your own in place of the papers'.")
    ] = None,
    key: Key = None,
    unsigned: Unsigned = False,
) -> None:
    """Bundle evidence, claims, verdicts and program as one signed file, and check such a file.

    Without a verb the artifact is built (`make artifact` builds wheel and bill of materials first): runs
    below --from, claims and verdicts, wheel, lock, bill of materials, RO-Crate metadata, and an appendix for
    artifact evaluation. It takes at most 100 MB, and is signed with your verifier's key. --key and --unsigned
    are about the archives below --from. A wheel of another program ends with 3, evidence that was changed
    with 21.
    """
    if ctx.invoked_subcommand is not None:
        return
    if stored is None:
        raise UsageError(
            "no stored runs to bundle", remedy="--from results/reference bundles the clone's own"
        )
    parts = building.Parts(
        stored=stored,
        claims=claims or resources.claims(),
        wheel=wheel or _wheel_in(Path("dist")),
        lock=lock,
        sbom=sbom,
    )
    own = own_key()
    made = building.build(parts, out, own, lambda: signers_key(key, unsigned=unsigned))
    output = Output()
    output.say(*(f"does not count: {one}" for one in made.left))
    output.say(
        f"{out}: {made.size_bytes / 1e6:.1f} MB, {len(made.runs)} runs, {len(made.judged)} claims",
        f"signed by the key {signature.key_id(own.public_key())}",
        f"Hand on {own_public_file()} by another way than the artifact.",
    )


def _wheel_in(folder: Path) -> Path:
    found = sorted(folder.glob("sodbench-*.whl"))
    if len(found) != 1:
        raise UsageError(
            "no wheel is named" if not found else "several wheels are there",
            where=str(folder),
            remedy="`make artifact` builds it; --wheel names one",
        )
    return found[0]


@artifact.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The artifact.", metavar="FILE")],
    key: Key = None,
    unsigned: Unsigned = False,
) -> None:
    """Check the artifact FILE without a machine: signature, sums, RO-Crate metadata, wheel, verdicts.

    The claims are judged again from the evidence in it. A file that was changed, removed or added, another
    signer, and verdicts that do not follow end with 21; what is no artifact, or has links, compressed or
    doubled files, with 12; claims that this version cannot judge with 3.
    """
    found = checking.verify(file, signers_key(key, unsigned=unsigned))
    output = Output()
    output.say(
        f"{found.files} files are as they were summed"
        + ("; the signature was not checked" if unsigned else " and signed"),
        f"wheel {found.statement.wheel.name}, SHA-256 {found.statement.wheel.sha256}",
        f"{len(found.statement.claims)} claims judged again by {len(found.runs)} runs, same verdicts:",
        ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items()),
    )
    if found.differing:
        output.say(
            f"Note: the program that checked is not the artifact's: {len(found.differing)} modules differ, "
            f"such as {found.differing[0]}"
        )
