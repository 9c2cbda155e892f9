"""`sodbench attest`: who may attest, what machines say of themselves, and what is to be thought of it.

The other files of this folder have the verbs: enrolment, verification, monitoring, status, reference values.
"""

from __future__ import annotations

import typer

from harness.cli import lazy
from harness.cli.lazy import Verb


class _Verbs(lazy.Verbs):
    verbs = (
        Verb(
            "enrol",
            "harness.cli.attest.enrol:enrol",
            "Enrol machines: whose TPM each has, new attestation keys in it, and one identity for it.",
        ),
        Verb(
            "reference",
            "harness.cli.attest.reference:reference",
            "Record reference values from machines that are known to be good, for what the policy checks.",
        ),
        Verb(
            "verify",
            "harness.cli.attest.verify:verify",
            "Attest machines: a fresh nonce, a quote, the verification, and a result in the registry.",
        ),
        Verb(
            "quote",
            "harness.cli.attest.verify:quote",
            "Have a machine quote over a fresh nonce and keep its evidence in a file. Judges nothing.",
        ),
        Verb(
            "monitor",
            "harness.cli.attest.monitor:monitor",
            "Attest machines at an interval and print what changes: verdicts, silence, properties "
            "of servers.",
        ),
        Verb(
            "status",
            "harness.cli.attest.status:status",
            "Show who is enrolled, with which keys, and the last result of each with its age.",
        ),
        Verb(
            "policy",
            "harness.cli.attest.reference:policy",
            "Check an appraisal policy, and show what it checks. Touches no machine.",
        ),
        Verb(
            "revoke",
            "harness.cli.attest.enrol:revoke",
            "Refuse a machine permanently: neither its name nor its TPM is ever enrolled again.",
        ),
        Verb(
            "release",
            "harness.cli.attest.enrol:release",
            "Retire an identity, so that its name and its TPM can be enrolled again, as of a "
            "machine that is gone.",
        ),
    )


attest = typer.Typer(
    cls=_Verbs,
    help="Whether machines are what they should be: enrolment, quotes, verification (docs/attestation.md).",
    no_args_is_help=True,
)
