"""Deploys the guest that a service guards: chooses its server, starts it there, enrols and places it."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from harness.attest.attester.channel import remote
from harness.attest.attester.contract import Attester
from harness.attest.identity import authorities, enrolment
from harness.clock import Clock
from harness.policy.request import Request
from harness.registry.registry import Registry
from harness.response.act import launching
from harness.response.act.guard import GuardSettings, prover, watched
from harness.rig.contract import Machine
from harness.rig.guest import domain
from harness.rig.guest.domain import GuestSpec
from harness.rig.rig import Rig

MEMORY_MIB = 1024
VCPUS = 1


class Deployment:
    """One guest's way onto a server of the rig."""

    def __init__(self, rig: Rig, registry: Registry, settings: GuardSettings, clock: Clock) -> None:
        self._rig = rig
        self._registry = registry
        self._settings = settings
        self._clock = clock

    def launch(
        self, request: Request, *, look_limit_s: float, boot_limit_s: float
    ) -> tuple[str, dict[str, int]]:
        """Deploy the guest; on which server, and how long each stage took, ns.

        A guest that cannot be proved to be what it should be is taken away again.

        Raises:
            GuestError: It does not start, or is not what it should be.
            NoServerError: No server satisfies the request; nothing was started.
            RefusedError: It cannot be enrolled.
        """
        spec = self._rig.specify(memory_mib=MEMORY_MIB, vcpus=VCPUS, tpm=True)
        with watched(
            self._rig, self._registry, self._settings, self._clock, opened=self._channel
        ) as watched_rig:
            host, validate_ns = launching.choose(
                watched_rig.servers, request, self._clock, limit_s=look_limit_s, pause=self._pause
            )
            try:
                stages_ns = self._stages(host, spec, watched_rig.attesters[self._settings.vm], boot_limit_s)
                begin_ns = self._clock.now_ns()
                epoch = launching.placed(self._registry, self._settings.vm, host)
                placed_ns = self._clock.now_ns()
                proves = prover(self._settings, watched_rig, spec.uuid, self._clock)
                launching.proved(proves, self._settings.vm, host, epoch)
            except BaseException:
                self._rig.clear(spec)
                raise
        own = {"place": placed_ns - begin_ns, "attest": self._clock.now_ns() - placed_ns}
        return host, {"validate": validate_ns, **stages_ns, **own}

    def _stages(self, host: str, spec: GuestSpec, attester: Attester, boot_limit_s: float) -> dict[str, int]:
        """Start the guest on `host` and enrol it."""
        begin_ns = self._clock.now_ns()
        machine = self._rig.hosts[host]
        domain.boot(self._rig.hypervisors.connect()[host], machine, spec)
        domain.await_login(self._rig.guest, machine, spec, timeout_s=boot_limit_s, clock=self._clock)
        up_ns = self._clock.now_ns()
        vm = self._settings.vm
        if self._registry.attester(vm) is not None:
            self._registry.release(vm, "another guest is deployed in its place")
        asked = enrolment.Request(
            name=vm,
            kind="guest",
            # Its TPM was made where it was started.
            authorities=authorities.of_machine(machine, authorities.GUEST_AUTHORITY),
            keys=(self._settings.key,),
        )
        enrolment.enrol(attester, self._registry, asked, self._clock)
        return {"start": up_ns - begin_ns, "enrol": self._clock.now_ns() - up_ns}

    def _pause(self, seconds: float) -> None:
        self._clock.wait(seconds, threading.Event())

    def _channel(self, _name: str, host: Machine, stack: ExitStack) -> Attester:
        return remote(host, self._clock, stack)
