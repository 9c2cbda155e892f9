"""The command line: one verb a file, each thin; here the verbs are named and errors become messages.

Exit codes are documented in :mod:`harness.errors` and in ``sodbench --help``. A verb is imported when it runs
(:mod:`harness.cli.lazy`), so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from harness import __version__, errors
from harness.cli import lazy, streams
from harness.cli.lazy import Verb

_EPILOG = """
Exit codes: 0 done · 1 unexpected · 2 wrong usage · 3 error in a campaign, inventory or other file ·
4 something is missing · 5 a machine does not answer · 6 building or provisioning failed ·
7 the rig is in use · 8 the guest failed · 9 the workload failed · 10 a migration cannot be asked for ·
11 no space or not writable · 12 a stored run is damaged · 13 the run ended with trials that are not valid ·
14 evidence or an enrolment was refused · 15 an attester does not answer · 16 the registry cannot be used ·
17 a request for protection was refused · 18 another response of the VM is under way ·
19 the audit log is not as it was written · 20 no server satisfies a request ·
21 the evidence of a run, an archive, a report or an artifact was altered · 22 two runs cannot be compared ·
23 a run is worse than its baseline · 24 whether it is worse was not shown ·
25 two logs do not agree · 26 something of a guest may be left ·
27 an agreement is not shown to be kept · 130 interrupted

First steps: sodbench doctor · sodbench lab up · sodbench provision · sodbench run demo ·
sodbench report results/demo
"""


class _Verbs(lazy.Root):
    verbs = (
        Verb(
            "doctor",
            "harness.cli.doctor:doctor",
            "Check what this machine needs and say how to get what is missing. Changes nothing.",
            "Machines",
        ),
        Verb(
            "lab",
            "harness.cli.lab:lab",
            "Two KVM hosts and a client on this machine, built from nothing. Needs root.",
            "Machines",
        ),
        Verb(
            "provision",
            "harness.cli.provision:provision",
            "Install and configure what the hosts and the client need, then build the guest images "
            "that are missing.",
            "Machines",
        ),
        Verb(
            "rig",
            "harness.cli.rig:rig",
            "How the hosts of a rig are set: show it, tune them, restore them (docs/provisioning.md).",
            "Machines",
        ),
        Verb(
            "attest",
            "harness.cli.attest:attest",
            "Whether machines are what they should be: enrolment, quotes, verification "
            "(docs/attestation.md).",
            "Machines",
        ),
        Verb(
            "policy",
            "harness.cli.policy:policy",
            "Security on demand: requests, capabilities, and which servers satisfy what (docs/policy.md).",
            "Security on demand",
        ),
        Verb(
            "guest",
            "harness.cli.guest:guest",
            "The guarded guest: deployed where its request is satisfied (docs/response.md).",
            "Security on demand",
        ),
        Verb(
            "watch",
            "harness.cli.guest.watch:watch",
            "Guard the guest of a rig: attest its servers, validate its request, move it when that "
            "no longer holds.",
            "Security on demand",
        ),
        Verb(
            "respond",
            "harness.cli.respond:respond",
            "Demonstrate responses on a busy guest: what happens, what is decided, what it costs.",
            "Security on demand",
        ),
        Verb(
            "pvi",
            "harness.cli.pvi:pvi",
            "A private virtual infrastructure: what became of its guests, and whether both sides' logs agree "
            "(docs/pvi.md).",
            "Security on demand",
        ),
        Verb(
            "audit",
            "harness.cli.audit:audit",
            "The audit log of findings, requests, decisions and actions; `verify` detects edits of it "
            "(docs/registry.md).",
            "Security on demand",
        ),
        Verb(
            "plan",
            "harness.cli.plan:plan",
            "Print the trials, their migrations, and the time and disk they take. Touches nothing.",
            "Campaigns",
        ),
        Verb(
            "run",
            "harness.cli.run:run",
            "Run a campaign: every trial of its plan, each journalled as it happens.",
            "Campaigns",
        ),
        Verb(
            "nightly",
            "harness.cli.nightly:nightly",
            "Run a night: a campaign with gate, trend and published report, on hosts tuned and restored "
            "(docs/nightly.md).",
            "Campaigns",
        ),
        Verb(
            "resume",
            "harness.cli.run:resume",
            "Continue a run that was interrupted or killed: finished trials are neither lost nor run again.",
            "Campaigns",
        ),
        Verb(
            "status",
            "harness.cli.status:status",
            "Show each trial of a run, its attempts and verdict, and whether its evidence has its sums.",
            "Campaigns",
        ),
        Verb(
            "report",
            "harness.cli.report:report",
            "Make the report of RUN from its stored results alone, or check who made one (--verify).",
            "Results",
        ),
        Verb(
            "compare",
            "harness.cli.compare:compare",
            "Compare two runs or two variants of one: ratios of medians with intervals of their trials.",
            "Results",
        ),
        Verb(
            "gate",
            "harness.cli.gate:gate",
            "Judge RUN against a baseline by its campaign's `gate`: passed, regressed or inconclusive.",
            "Results",
        ),
        Verb(
            "trend",
            "harness.cli.trend:trend",
            "Show all runs of a campaign over time on one page: where levels change, and what changed there.",
            "Results",
        ),
        Verb(
            "reproduce",
            "harness.cli.reproduce:reproduce",
            "Judge the papers' claims by runs, and write a page with one row a claim.",
            "Results",
        ),
        Verb(
            "artifact",
            "harness.cli.artifact:artifact",
            "Bundle evidence, claims, verdicts and program as one signed file, and check such a file.",
            "Results",
        ),
        Verb(
            "pilot",
            "harness.cli.pilot:run_pilot",
            "Say how many trials find an effect, from how trials and migrations of RUN vary.",
            "Results",
        ),
        Verb(
            "selftest",
            "harness.cli.selftest:selftest",
            "Put sodbench's own judgements to the test on a run of yours.",
            "Results",
        ),
        Verb(
            "metrics",
            "harness.cli.metrics:metrics",
            "Compute the metrics of RUN again from its evidence, for instance with a newer sodbench.",
            "Results",
        ),
        Verb(
            "archive",
            "harness.cli.archive:archive",
            "Pack a run that has ended into a small archive, and unpack it to the same bytes.",
            "Results",
        ),
        Verb(
            "schema",
            "harness.cli.schema:schema",
            "Print the JSON Schema of a kind of file, by default of a campaign.",
            "Results",
        ),
    )


app = typer.Typer(
    name="sodbench",
    cls=_Verbs,
    help="What does it cost to move a running virtual machine to safety? "
    "Migrates a working guest between two hosts on schedule, measures it, and reports it.",
    epilog=lazy.paragraphs(_EPILOG),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sodbench {__version__}")
        raise typer.Exit


_OTHERS_READ = frozenset({"lab", "provision"})
"""Verbs that make whole systems, in which other users must read files."""


@app.callback()
def _root(
    ctx: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version
    if ctx.invoked_subcommand not in _OTHERS_READ:
        # Evidence, registries, tokens and reports are their user's alone, wherever they are written.
        before = os.umask(0o077)
        ctx.call_on_close(lambda: os.umask(before))


def main() -> None:
    """The entry point of the ``sodbench`` command: runs a verb and ends with its exit code."""
    streams.prepare()
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
    except MemoryError:
        _show(
            errors.SodbenchError("out of memory", remedy="what was asked for is too large for this machine")
        )
        return errors.SodbenchError.exit_code
    except KeyboardInterrupt:
        return errors.InterruptedRunError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _show(error: errors.SodbenchError) -> None:
    from harness.cli.terminal import Output  # noqa: PLC0415 - help and completion need no terminal

    Output(error=True).error(error.kind, error.where, error.what, error.why, error.remedy)
