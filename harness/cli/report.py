"""`sodbench report`: the stored results of a run as HTML, Markdown and LaTeX, signed; and the check of that.

Reads a run's folder, and what else it is given to show, and writes documents; it never touches the rig and
never changes the results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import report as reports
from harness.cli.signing import Key, Sign, Verify, key_to_sign, trusted_key
from harness.cli.terminal import Output, number_of
from harness.errors import UsageError
from harness.evidence import folder as store
from harness.evidence import signature
from harness.registry import places
from harness.report import signed

Benchmarks = Annotated[
    Path | None,
    typer.Option("--benchmarks", help="pytest-benchmark's JSON of the verification's steps, to include."),
]
Adversary = Annotated[
    Path | None,
    typer.Option("--adversary", help="JSON of the attacks tried on the verifier, to include."),
]
Periodic = Annotated[
    Path | None,
    typer.Option("--periodic", help="JSON of what attesting at intervals costs, to include."),
]


def report(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder, or a folder above it: then the newest run below. With --verify the "
            "report's folder.",
            metavar="RUN",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write; by default reports/<campaign>/<run id>/."),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="html, md or tex; may be given several times. All by default."),
    ] = None,
    benchmarks: Benchmarks = None,
    adversary: Adversary = None,
    periodic: Periodic = None,
    verify: Verify = False,
    key: Key = None,
    sign: Sign = None,
) -> None:
    """Make the report of RUN from its stored results alone, or check who made one (--verify).

    The hardware is not needed, and the same results give the same bytes. Evidence that was changed since the
    run ended is refused with 21. Your verifier's key signs documents and figures, in a file of their folder;
    a key that others may read is refused with 4. --verify refuses with 21 a report that is not signed, that
    another key signed, or of which a file was changed, removed or added.
    """
    output = Output()
    if verify:
        if sign is not None:
            raise UsageError("--verify makes no report", remedy="leave --sign and --unsigned out")
        output.say(_verified(run, key))
        return
    if key is not None:
        raise UsageError("--key says whose signature to check", remedy="give it with --verify")
    folder = store.find(run)
    place = out if out is not None else Path("reports") / folder.root.parent.name / folder.root.name
    _require_outside(place, folder.root)
    own = key_to_sign(sign)
    made = reports.build(
        folder,
        place,
        tuple(format or reports.FORMATS),
        benchmarks=benchmarks,
        adversary=adversary,
        periodic=periodic,
    )
    for path in made.documents:
        output.say(str(path))
    if own is not None:
        output.say(str(signed.sign(place, made.files, own)))
        _tell_others(signed.others(place, made.files))
    elif sign is None:
        where = places.signing_key_file()
        Output(error=True).say(f"not signed: there is no key {where}; --sign makes it and signs")


def _verified(folder: Path, named: Path | None) -> str:
    """Who signed the report in `folder`, which is as it was signed."""
    signer = trusted_key(named)
    count = signed.verify(folder, signer)
    return f"{folder}: {number_of(count, 'file')}, signed by the key {signature.key_id(signer)}"


def _tell_others(names: list[str]) -> None:
    if names:
        Output(error=True).say(
            f"warning: not of this report, so not signed, and --verify will refuse it: {', '.join(names)}"
        )


def _require_outside(place: Path, run: Path) -> None:
    """Whatever lies in a run's folder and is not a table of it counts as evidence."""
    if place.resolve().is_relative_to(run.resolve()):
        raise UsageError(
            "a report inside the run's folder would count as evidence that was added",
            where=str(place),
            remedy="--out names a folder outside the run's",
        )
