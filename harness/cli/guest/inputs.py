"""By what a guest is guarded, from what the user names; for the verbs that deploy and watch one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.inputs import GuestPolicy, Key, Policy, RegistryUrl
from harness.cli.attest.monitor import accepted_numbers, assigned
from harness.cli.inputs import Inventory, RunInventory, inventory_file
from harness.pair_name import HOSTS, ONLY_GUEST
from harness.policy.capability_file import load_table
from harness.response import policy_file
from harness.response.act.guard import GuardSettings
from harness.rig.pair import Pair, load

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


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions:
    """What every verb that guards a guest is told; :func:`guarding` makes options of the fields."""

    capabilities: Capabilities = None
    monitors: Monitors = None
    accepted: Accepted = None
    key: Key = "ecc-p256"
    policy: Policy = None
    guest_policy: GuestPolicy = "guest"
    inventory: Inventory = None
    run_inventory: RunInventory = False
    registry: RegistryUrl = None

    def pair(self) -> Pair:
        """The pair of the inventory.

        Raises:
            InputFileError: The inventory is wrong.
            PrerequisiteError: There is none.
        """
        return load(inventory_file(self.inventory, "lab"), programs=self.run_inventory)

    def settings(self, pair: Pair, *, response: str | None, interval_s: float, seed: int) -> GuardSettings:
        """The settings for the pair's one guest.

        Raises:
            InputFileError: A policy, reference values or capabilities are wrong.
            PrerequisiteError: There are no reference values of a machine.
            UsageError: There is no such policy, monitor or key.
        """
        named = response or ("lab" if pair.rig == "lab" else "default")
        names = (*HOSTS, ONLY_GUEST)
        policies = {name: attest_inputs.policy(name, pair, self.policy, self.guest_policy) for name in names}
        references = {
            name: attest_inputs.reference(name, attest_inputs.reference_place(name, pair), policies[name])
            for name in names
        }
        return GuardSettings(
            vm=ONLY_GUEST,
            monitors=_with_tpm(assigned(self.monitors or (), HOSTS)),
            key=attest_inputs.key_type(self.key),
            policies=policies,
            references=references,
            response=policy_file.load(policy_file.locate(named)),
            table=load_table(self.capabilities or ()),
            interval_s=interval_s,
            accepted=accepted_numbers(self.accepted or (), HOSTS),
            seed=seed,
            owner=f"{socket.gethostname()}:{os.getpid()}",
        )


def guarding(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the fields of :class:`GuardOptions` as options behind its own.

    Args:
        verb: Takes a :class:`GuardOptions` first, then options of its own by name.
    """
    shared = signature(GuardOptions, eval_str=True).parameters
    own = [*signature(verb, eval_str=True).parameters.values()][1:]
    parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in (*own, *shared.values())]

    @wraps(verb)
    def run(**given: object) -> None:
        options = {name: given.pop(name) for name in shared}
        verb(GuardOptions(**options), **given)  # type: ignore[arg-type]

    # What typer reads: the options, with their types.
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _with_tpm(named: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The TPM of a host is always asked too: a simulated monitor proves nothing."""
    return {name: (*kinds, *([] if "tpm" in kinds else ["tpm"])) for name, kinds in named.items()}
