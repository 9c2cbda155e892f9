"""Machines whose TPM can be restarted and violated: a host of the lab, or processes of this machine.

A restart ends the TPM in order first: one that just loses its power counts that against its
authorizations, and locks itself after a few.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from harness.attest.attester.contract import Attester
from harness.attest.evidence import KeyType
from harness.attest.examine.recording import genuine
from harness.attest.identity.enrolment import KEYS, Request, enrol
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, Require
from harness.attest.reference.values import record
from harness.cli.attest import inputs as attest_inputs
from harness.cli.attest.machines import reached, vouching
from harness.clock import Clock
from harness.evidence.observers.clocks import own_kernel
from harness.registry.registry import Registry, open_registry, sqlite_url
from harness.rig import lock
from harness.rig import pair as pairs
from harness.rig.host import Host
from harness.rig.lab import lab

PROBE = Path(__file__).with_name("violation_probe.py")
SOCKET = "swtpm:path=/run/sodbench/swtpm.sock"
CONFIG = "/etc/sodbench/attester.toml"
PCR = 4
"""Where a boot loader is measured; nothing extends it once a machine is up."""

ANSWER_LIMIT_S = 60.0
KEY: KeyType = "ecc-p256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """When the PCR was extended, ns of the controller's CLOCK_MONOTONIC: not before, not after."""

    earliest_ns: int
    latest_ns: int
    same_clock: bool


class Site(Protocol):
    """A machine with a TPM that can be restarted and violated."""

    name: str
    rig: str
    registry: Registry
    policy: AppraisalPolicy
    reference: ReferenceValues
    attester: Attester

    def fresh(self) -> None:
        """Restart the TPM and enrol it again."""
        ...

    def violate(self) -> Violation:
        """Extend the PCR."""
        ...


class Line:
    """The probe at the other end of a channel: one question, one answer, stamped."""

    def __init__(self, clock: Clock) -> None:
        self._answers: queue.Queue[tuple[int, str]] = queue.Queue()
        self._clock = clock

    def on_line(self, t_ns: int, line: str) -> None:
        """An answer has arrived."""
        self._answers.put((t_ns, line))

    def violate(self, send: Callable[[str], object], bank: str) -> Violation:
        """One extension with a value that says nothing.

        Raises:
            SystemExit: It failed.
        """
        sent_ns = self._clock.now_ns()
        send(f"{PCR} {bank} {sha256(b'violation').hexdigest()}")
        received_ns, said = self._answers.get(timeout=ANSWER_LIMIT_S)
        if said.startswith("error"):
            raise SystemExit(f"the PCR cannot be extended: {said}")
        before, after, kernel = said.split(" ")
        stamps = int(before), int(after)
        same = kernel == own_kernel() and sent_ns <= stamps[0] <= stamps[1] <= received_ns
        earliest_ns, latest_ns = stamps if same else (sent_ns, received_ns)
        return Violation(earliest_ns=earliest_ns, latest_ns=latest_ns, same_clock=same)


class LabSite:
    """A host of the lab, with the user's registry, policy and reference values."""

    def __init__(self, name: str, stack: ExitStack, clock: Clock) -> None:
        pair = pairs.load(lab.Places().inventory)
        if pair.tpm[name] != "software":
            raise SystemExit(f"host {name} has a TPM that only a reboot restarts")
        stack.enter_context(lock.hold(stack.enter_context(Host(pair.machines["a"])), "benchmarks.violation"))
        self.name, self.rig = name, pair.rig
        self.registry: Registry = stack.enter_context(attest_inputs.registry(None))
        self.policy = attest_inputs.policy(name, pair, None, "guest")
        self.reference = attest_inputs.reference(name, attest_inputs.reference_place(name, pair), self.policy)
        self._clock = clock
        self._machine = stack.enter_context(reached(pair, [name], clock))[name]
        self.attester: Attester = self._machine.attester
        self._authorities = vouching(self._machine, pair, None)[0]
        self._host = stack.enter_context(Host(pair.machines[name], clock))
        self._line = Line(clock)
        self._channel = self._host.stream(self._host.python(PROBE, CONFIG), self._line.on_line)
        stack.callback(self._channel.close)

    def fresh(self) -> None:
        """Restart the TPM's service, which measures again, and renew the host's keys."""
        self.attester.close()
        self._host.run(f"tpm2_shutdown --tcti {SOCKET} --clear && systemctl restart sodbench-swtpm.service")
        request = Request(
            name=self.name,
            kind="host",
            authorities=self._authorities,
            keys=KEYS,
            renew=self.registry.attester(self.name) is not None,
        )
        enrol(self.attester, self.registry, request, self._clock)

    def violate(self) -> Violation:
        return self._line.violate(self._channel.send, self.policy.bank)


class LocalSite:
    """A software TPM and the attester as processes of this machine, in a folder of their own."""

    def __init__(self, stack: ExitStack, clock: Clock) -> None:
        self.name, self.rig = "local", "none: software TPM and attester as local processes, no network"
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._clock = clock
        self._config = self._folder / "attester.toml"
        self._tpm = ExitStack()
        self._running: LocalTpm | None = None
        stack.callback(self._end)
        self.registry: Registry = stack.enter_context(
            open_registry(sqlite_url(self._folder / "registry.sqlite"))
        )
        self.policy = AppraisalPolicy(
            version=1,
            name="local",
            pcrs=(0, PCR, 7),
            require=Require(pcr_values="check", event_log="ignore", ima="ignore"),
            software_tpm="accept",
            clock_unsafe="warn",
        )
        self.attester: Attester = LocalAttester(self._config, clock)
        stack.callback(self.attester.close)
        self.fresh()
        evidence = genuine(self.attester, self.registry, self.name, key=KEY, policy=self.policy, clock=clock)
        self.reference = record(evidence, self.policy)

    def fresh(self) -> None:
        """Restart the TPM and renew its keys; its endorsement key is pinned."""
        self.attester.close()
        if self._running is not None:
            self._running.run("tpm2_shutdown", "--clear")  # as on the lab's hosts
        self._tpm.close()
        self._tpm = ExitStack()
        tpm = self._running = self._tpm.enter_context(running(self._folder))
        self._config.write_text(f"tcti = {json.dumps(tpm.tcti)}\n")
        pin = sha256(self.attester.identify().ek_public["rsa-2048"]).hexdigest()
        known = self.registry.attester(self.name) is not None
        request = Request(name=self.name, kind="host", trusted_ek=pin, keys=(KEY,), renew=known)
        enrol(self.attester, self.registry, request, self._clock)

    def _end(self) -> None:
        self._tpm.close()

    def violate(self) -> Violation:
        process = subprocess.Popen(
            [sys.executable, "-u", str(PROBE), str(self._config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        into, out = process.stdin, process.stdout
        assert into is not None
        assert out is not None
        line = Line(self._clock)
        reader = threading.Thread(target=lambda: line.on_line(self._clock.now_ns(), out.readline().strip()))
        reader.start()
        try:
            return line.violate(lambda text: into.write(text + "\n"), self.policy.bank)
        finally:
            into.close()
            reader.join()
            process.wait(timeout=ANSWER_LIMIT_S)
