"""By what a guest is guarded, from what the user names; for the verbs that deploy and watch one."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.monitor import accepted_numbers, assigned
from harness.pair_name import ONLY_GUEST
from harness.policy.capability_file import load_table
from harness.response import policy_file
from harness.response.act.guard import GuardSettings
from harness.rig.pair import HOSTS, Pair

ResponsePolicyName = Annotated[
    str | None,
    typer.Option(
        "--response-policy",
        help="Response policy: a shipped one or a file. By default `lab` in the lab, else `default`.",
    ),
]
Capabilities = Annotated[
    list[Path] | None,
    typer.Option(
        "--capabilities", help="A provider's file with more architectures; may be given several times."
    ),
]
Interval = Annotated[float, typer.Option("--interval", min=0.1, help="Seconds from one look to the next.")]
Monitors = Annotated[
    list[str] | None,
    typer.Option(
        "--monitor",
        metavar="HOST=MONITOR",
        help="A host's monitor, such as b=hyperwall; may be given several times. Its first one "
        "determines its architecture. By default tpm.",
    ),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="HOST=NUMBER", help="Memory violations that you reviewed and accepted."),
]


def guard_settings(
    pair: Pair,
    *,
    response: str | None,
    capabilities: Sequence[Path],
    interval_s: float,
    monitors: Sequence[str],
    accepted: Sequence[str],
    key: str,
    policy: str | None,
    guest_policy: str,
    seed: int,
) -> GuardSettings:
    """The terms of the rig's one guest.

    Raises:
        InputFileError: A policy, reference values or capabilities are wrong.
        PrerequisiteError: There are no reference values of a machine.
        UsageError: There is no such policy, monitor or key.
    """
    named = response or ("lab" if pair.rig == "lab" else "default")
    policies = {name: attest_inputs.policy(name, pair, policy, guest_policy) for name in (*HOSTS, ONLY_GUEST)}
    references = {
        name: attest_inputs.reference(name, attest_inputs.reference_place(name, pair), policies[name])
        for name in (*HOSTS, ONLY_GUEST)
    }
    return GuardSettings(
        vm=ONLY_GUEST,
        monitors=_with_tpm(assigned(monitors, HOSTS)),
        key=attest_inputs.key_type(key),
        policies=policies,
        references=references,
        response=policy_file.load(policy_file.locate(named)),
        table=load_table(capabilities),
        interval_s=interval_s,
        accepted=accepted_numbers(accepted, HOSTS),
        seed=seed,
        owner=f"{socket.gethostname()}:{os.getpid()}",
    )


def _with_tpm(named: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Whatever else watches a host, its TPM is asked too: a simulated monitor proves nothing."""
    return {name: (*kinds, *([] if "tpm" in kinds else ["tpm"])) for name, kinds in named.items()}
