"""An opened rig as a value: the machines and hypervisors that a run uses, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from harness.errors import GuestError
from harness.json_types import Json
from harness.pair_name import CLIENT, FIRST
from harness.rig.acceleration import Accelerator
from harness.rig.contract import Hypervisors, Machine
from harness.rig.guest import domain
from harness.rig.guest.digest import Kept
from harness.rig.guest.domain import GuestSpec, destroy, specify
from harness.rig.guest.guest import Guest
from harness.rig.guest.kind import STANDARD, Kind
from harness.rig.pair import Pair


def _one_guest(guest: Guest) -> Machine:
    raise GuestError("this rig has one guest", where=guest.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """The machines of a run.

    Attributes:
        pair: What the inventory says.
        hosts: SSH to a and b.
        client: SSH to the client.
        subject: The guest that this is about.
        guest: SSH to that guest, once it lives.
        hypervisors: Those of both hosts.
        accelerator: ``kvm`` or ``tcg``, the same for both hosts.
        image_key: The image that its guests boot.
        image: What is in it, as its build wrote it down.
        facts: Gathers every machine's facts now, read-only, by role. Raises UnreachableError, or
            PrerequisiteError where a machine lacks what provisioning gives it.
        reach: SSH to any guest of the rig.
        kind: What that image is.
        played: Whether nothing of it is real, so that nothing it yields is a measurement.
        vtpm_key: What the secrets of its guests' TPMs are made from; empty where there is no key.
        digests: Those of the image's files, by name; empty where they are not checked.
        saved: Where the digests of saved guests are kept; None where they are not checked.
    """

    pair: Pair
    hosts: Mapping[str, Machine]
    client: Machine
    subject: Guest
    guest: Machine
    hypervisors: Hypervisors
    accelerator: Accelerator
    image_key: str
    image: Mapping[str, Json]
    facts: Callable[[], Mapping[str, Mapping[str, Json]]]
    kind: Kind = STANDARD
    played: bool = False
    reach: Callable[[Guest], Machine] = _one_guest
    vtpm_key: bytes = field(default=b"", repr=False)
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    saved: Kept | None = None

    @property
    def machines(self) -> dict[str, Machine]:
        """The machines that stay: hosts and client, by role."""
        return {**self.hosts, CLIENT: self.client}

    def of(self, guest: Guest) -> Rig:
        """The same rig, about `guest`."""
        return replace(self, subject=guest, guest=self.reach(guest))

    def specify(self, *, memory_mib: int, vcpus: int, tpm: bool = False) -> GuestSpec:
        """This rig's guest."""
        return specify(
            self.pair,
            self.subject,
            memory_mib=memory_mib,
            vcpus=vcpus,
            accelerator=self.accelerator,
            image_key=self.image_key,
            tpm=tpm,
            kind=self.kind,
            vtpm_key=self.vtpm_key,
            digests=self.digests,
        )

    def check(self) -> None:
        """Every machine answers, now.

        Raises:
            UnreachableError: One does not.
        """
        for machine in self.machines.values():
            machine.run("true", limit="answer_s", root=False)
        self.hypervisors.connect()

    def clear(self, spec: GuestSpec) -> None:
        """Take the guest of `spec` away from the hosts, and its disk."""
        self.guest.close()
        destroy(self.hypervisors.connect(), spec.guest.domain, self.hosts[FIRST], spec.folder)

    def vacate(self) -> None:
        """Take every guest of the harness away from the hosts, and its disk, whichever run started it.

        A guest that a killed run left has the MAC and the address of one that is about to start, also where
        its name is another: the one guest of a rig and the first of several share both.
        """
        connections = self.hypervisors.connect()
        for name in domain.of_harness(connections):
            destroy(connections, name, self.hosts[FIRST], domain.folder(self.pair, name))
