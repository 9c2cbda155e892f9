"""`sodbench attest`: who may attest, what machines say of themselves, and what is to be thought of it.

The other files of this folder have the verbs: enrolment, verification, monitoring, status, reference values.
"""

from __future__ import annotations

import typer

from harness.cli.attest import enrol, monitor, reference, status, verify

attest = typer.Typer(
    help="Whether machines are what they should be: enrolment, quotes, verification (docs/attestation.md).",
    no_args_is_help=True,
)
for _verb in (
    enrol.enrol,
    reference.reference,
    verify.verify,
    verify.quote,
    monitor.monitor,
    status.status,
    reference.policy,
    enrol.revoke,
    enrol.release,
):
    attest.command()(_verb)
