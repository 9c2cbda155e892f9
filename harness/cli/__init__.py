"""The command line: one verb a file, each thin; here the verbs are named and errors become messages.

Exit codes are documented in :mod:`harness.errors` and in ``sodbench --help``. Verbs import what they need
when they run, so that ``--help`` answers at once.
"""

from __future__ import annotations

import inspect
import logging
import sys

import typer

from harness import __version__, errors
from harness.cli import terminal
from harness.cli.archive import archive
from harness.cli.attest import attest
from harness.cli.audit import audit
from harness.cli.doctor import doctor
from harness.cli.guest import guest
from harness.cli.guest.watch import watch
from harness.cli.lab import lab
from harness.cli.metrics import metrics
from harness.cli.plan import plan
from harness.cli.policy import policy
from harness.cli.provision import provision
from harness.cli.report import report
from harness.cli.respond import respond
from harness.cli.run import resume, run
from harness.cli.schema import schema
from harness.cli.status import status

_EPILOG = """
[bold]Exit codes[/bold]

0 done · 1 unexpected · 2 wrong usage · 3 error in a campaign, inventory or other file ·
4 something is missing · 5 a machine does not answer · 6 building or provisioning failed ·
7 the rig is in use · 8 the guest failed · 9 the workload failed · 10 a migration cannot be asked for ·
11 no space or not writable · 12 a stored run is damaged · 13 the run ended with trials that are not valid ·
14 evidence or an enrolment was refused · 15 an attester does not answer · 16 the registry cannot be used ·
17 a request for protection was refused · 18 another response of the VM is under way ·
19 the audit log is not as it was written · 20 no server satisfies a request ·
21 the evidence of a run was altered · 130 interrupted

[bold]First steps[/bold]

sodbench doctor · sodbench lab up · sodbench provision · sodbench run demo · sodbench report results/demo
"""


def _paragraphs(text: str) -> str:
    """Each paragraph on one line: rich wraps it to the terminal, and keeps line ends inside one."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


app = typer.Typer(
    name="sodbench",
    help="What does it cost to move a running virtual machine to safety? "
    "Migrates a working guest between two hosts on schedule, measures it, and reports it.",
    epilog=_paragraphs(_EPILOG),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sodbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


app.command(rich_help_panel="Machines")(doctor)
app.add_typer(lab, name="lab", rich_help_panel="Machines")
app.command(rich_help_panel="Machines")(provision)
app.add_typer(attest, name="attest", rich_help_panel="Machines")
app.add_typer(policy, name="policy", rich_help_panel="Security on demand")
app.add_typer(guest, name="guest", rich_help_panel="Security on demand")
app.command(rich_help_panel="Security on demand")(watch)
app.command(rich_help_panel="Security on demand")(respond)
app.add_typer(audit, name="audit", rich_help_panel="Security on demand")
app.command(rich_help_panel="Campaigns")(plan)
app.command(rich_help_panel="Campaigns")(run)
app.command(rich_help_panel="Campaigns")(resume)
app.command(rich_help_panel="Campaigns")(status)
app.command(rich_help_panel="Results")(report)
app.command(rich_help_panel="Results")(metrics)
app.add_typer(archive, name="archive", rich_help_panel="Results")
app.command(rich_help_panel="Results")(schema)


def _reflow(verbs: typer.Typer) -> None:
    """Have every verb's help wrapped to the terminal, not at the ends of its docstring's lines."""
    for command in verbs.registered_commands:
        if command.help is None and command.callback is not None:
            command.help = _paragraphs(inspect.getdoc(command.callback) or "")
    for group in verbs.registered_groups:
        if group.typer_instance is not None:
            _reflow(group.typer_instance)


_reflow(app)


def main() -> None:
    """The entry point of the ``sodbench`` command: runs a verb and ends with its exit code."""
    terminal.prepare()
    # What goes wrong in a library reaches the user as an error with place and remedy; without any handler
    # Python would print what the library logs as well.
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(_run())


def _run() -> int:
    try:
        app()  # Typer says itself what is wrong with a command line, and ends with 2
    except errors.SodbenchError as error:
        _show(error)
        return error.exit_code
    except KeyboardInterrupt:
        return errors.InterruptedRunError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _show(error: errors.SodbenchError) -> None:
    terminal.Output(error=True).error(error.kind, error.where, error.what, error.why, error.remedy)
