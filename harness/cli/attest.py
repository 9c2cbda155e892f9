"""`sodbench attest`: who may attest, what machines say of themselves, and what is to be thought of it.

The verbs are in files beside this one: enrolment, verification, monitoring, status, reference values.
"""

from __future__ import annotations

import typer

from harness.cli.attest_enrol import enrol, release, revoke
from harness.cli.attest_monitor import monitor
from harness.cli.attest_reference import policy, reference
from harness.cli.attest_status import status
from harness.cli.attest_verify import quote, verify

attest = typer.Typer(
    help="Whether machines are what they should be: enrolment, quotes, verification (docs/attestation.md).",
    no_args_is_help=True,
)
for _verb in (enrol, reference, verify, quote, monitor, status, policy, revoke, release):
    attest.command()(_verb)
