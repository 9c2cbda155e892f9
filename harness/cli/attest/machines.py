"""The machines that attest, from an inventory: channels to them, and who vouches for their TPMs.

A channel connects when it is first used, so a machine that is not asked need not be up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.attest.attester.channel import RemoteAttester
from harness.attest.attester.contract import Attester
from harness.attest.identity import authorities, revocation_memory
from harness.attest.identity.authorities import NOBODY, Authorities
from harness.clock import Clock
from harness.pair_name import HOSTS, ONLY_GUEST
from harness.registry import places
from harness.rig.contract import CommandError
from harness.rig.guest import host_key
from harness.rig.host import Host
from harness.rig.pair import Pair

FROM_THE_MACHINE = (
    "software TPM: its authority was taken over SSH, which proves the protocol, not the platform"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One machine that is asked.

    Attributes:
        name: ``a``, ``b`` or ``guest``; its id in the registry too.
        attester: Its attester.
        vouching: The hosts whose local authorities certify it, where its TPM is software: itself, and of a
            guest every host on which it may have been started.
    """

    name: str
    attester: Attester
    vouching: tuple[Host, ...]


@contextmanager
def reached(pair: Pair, names: Sequence[str], clock: Clock) -> Iterator[Mapping[str, Reached]]:
    """Channels to machines, closed with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sodbench-guest-")))
        hosts = {role: stack.enter_context(Host(pair.machines[role], clock)) for role in HOSTS}
        found = {}
        for name in names:
            # A guest's TPM was made where it was started; it goes along when the guest moves.
            vouching = (hosts[name],) if name in hosts else tuple(hosts.values())
            host = hosts.get(name) or stack.enter_context(
                host_key.reached(pair, pair.only_guest, hosts, folder, clock)
            )
            attester = RemoteAttester(host, clock)
            stack.callback(attester.close)
            found[name] = Reached(name=name, attester=attester, vouching=vouching)
        yield found


def vouching(machine: Reached, pair: Pair, roots: Path | None) -> tuple[Authorities, str]:
    """Who may vouch for a machine's TPM, and what the user has to be told about that.

    The roots that the user names; else those of the inventory; else, for a TPM that is declared to be
    software, its own machine's authority. A hardware TPM without configured roots has no authority.

    Raises:
        InputFileError: A file of roots is wrong, or a revocation list went back.
        CommandError: The machine has no authority of its own.
        UnreachableError: The machine does not answer.
    """
    named = roots or pair.attest_roots
    if named is not None:
        found = authorities.load(named)
        revocation_memory.require_current(found, places.revocation_lists_file(), where=str(named))
        return found, ""
    if machine.name == ONLY_GUEST:
        return _of_guests(machine.vouching), FROM_THE_MACHINE
    if pair.tpm.get(machine.name) == "software":
        (host,) = machine.vouching
        return authorities.of_machine(host, authorities.HOST_AUTHORITY), FROM_THE_MACHINE
    return NOBODY, ""


def _of_guests(hosts: Sequence[Host]) -> Authorities:
    """The authorities of all hosts that ever made a guest's TPM; a host that never did has none.

    Raises:
        CommandError: None of them has one.
        InputFileError: What is there is not a certificate.
        UnreachableError: A host does not answer.
    """
    found, missing = NOBODY, None
    for host in hosts:
        try:
            found += authorities.of_machine(host, authorities.GUEST_AUTHORITY)
        except CommandError as error:
            missing = missing or error
    if not found.roots and missing is not None:
        raise missing
    return found
