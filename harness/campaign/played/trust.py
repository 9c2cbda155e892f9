"""The attesters of a played rig, and the registry in which its hosts are enrolled.

Both live as long as the process, as the played machines do: a resume has new TPMs, and enrols them.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from harness.attest.attester.channel import remote
from harness.attest.attester.contract import Ask
from harness.attest.identity import authorities, enrolment
from harness.attest.options import Attest
from harness.attest.played.attester import PlayedAttester
from harness.attest.played.authority import PlayedAuthority
from harness.attest.reference.files import load_policy
from harness.attest.reference.values import record, to_yaml
from harness.files import write_atomic
from harness.instant import Instant
from harness.pair_name import HOSTS
from harness.registry import places, schema
from harness.registry.database import Database
from harness.registry.registry import Registry
from harness.registry.url import sqlite_url
from harness.rig.played.clock import Happening, PlayedClock
from harness.rig.played.machines import Installed
from harness.rig.played.script import Script
from harness.rig.played.streams import PlayedStream
from harness.rig.played.world import REALTIME_OFFSET_NS, PlayedGuest, World, ns
from harness.rig.rig import Rig

_PROGRAM = re.compile(r"/sodbench_attester\.py ")
_AUTHORITY = re.compile(
    rf"^cat (?:{re.escape(authorities.HOST_AUTHORITY)}|{re.escape(authorities.GUEST_AUTHORITY)})/"
)
_AGAIN_S = 0.01
"""How often a guest that was asked and is stopped is looked at."""
_WAIT_S = 5.0
_UNKNOWN_FILE = "/usr/local/bin/played"
_NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registry with the hosts of a played rig.

    Attributes:
        registry: Open as long as the rig is used.
        url: The registry's URL.
        references: The folder of the machines' reference values.
    """

    registry: Registry
    url: str
    references: Path


class PlayedTrust:
    """What the machines of a played rig attest with.

    Attributes:
        registry_gone: Whether the registry does not answer.
        silent: The machines whose attester does not answer, by role.
    """

    def __init__(self, script: Script, clock: PlayedClock) -> None:
        self.registry_gone = False
        self.silent: set[str] = set()
        self._script = script
        self._clock = clock
        self._authority = PlayedAuthority()
        self._attesters: dict[str, PlayedAttester] = {}

    @property
    def installed(self) -> Installed:
        """What this adds to played machines."""
        return Installed(
            programs=((_PROGRAM, self._attest),),
            outputs=((_AUTHORITY, lambda _role: self._authority.pem),),
            on_start=self._on_start,
        )

    # -- attesters

    def _of(self, world: World, role: str) -> PlayedAttester:
        """The attester of a host, or of the guest that lives: a saved guest has the TPM that it had."""
        guest = world.guest
        name = role if role != "guest" or guest is None else guest.uuid
        if name not in self._attesters:
            self._attesters[name] = PlayedAttester(f"played-{role}", self._authority)
        return self._attesters[name]

    def _attest(self, world: World, role: str, _arguments: list[str], stream: PlayedStream) -> None:
        """The program that a machine's attester is."""
        attester = self._of(world, role)

        def heard(line: str) -> None:
            received_ns = self._clock.now_ns()

            def say() -> None:
                if role in self.silent or (role == "guest" and world.guest is None):
                    return
                if role == "guest" and not world.up():
                    self._clock.at(self._clock.now_ns() + ns(_AGAIN_S), say)
                    return
                moments = world.monotonic_ns(role, received_ns), world.monotonic_ns(role)
                stream.print(attester.answer(line, *moments))

            self._clock.at(received_ns + ns(self._script.quote_s), say)

        stream.on_input = heard
        stream.print(attester.ready())

    # -- the script

    def _on_start(self, world: World, guest: PlayedGuest) -> None:
        """Schedule what the script has in store from this guest's start on."""
        for quiet in self._script.silent:
            if quiet.guest == guest.number:
                mute = partial(self.silent.add, quiet.machine)
                self._during(quiet.after_s, quiet.for_s, mute, partial(self.silent.discard, quiet.machine))
        for gone in self._script.registry_gone:
            if gone.guest == guest.number:
                away = partial(self._leave_registry, gone=True)
                self._during(gone.after_s, gone.for_s, away, partial(self._leave_registry, gone=False))
        for changed in self._script.measure:
            if changed.guest == guest.number:
                attester = self._of(world, changed.machine)
                self._during(changed.after_s, None, partial(attester.measure, _UNKNOWN_FILE))

    def _during(
        self, after_s: float, for_s: float | None, begin: Happening, end: Happening = lambda: None
    ) -> None:
        begin_ns = self._clock.now_ns() + ns(after_s)
        self._clock.at(begin_ns, begin)
        if for_s is not None:
            self._clock.at(begin_ns + ns(for_s), end)

    # -- the registry

    @contextmanager
    def registered(self, rig: Rig, attest: Attest | None) -> Iterator[Registered | None]:
        """A registry in which both hosts are enrolled, and what they are known by; None without `attest`.

        Raises:
            InputFileError: A policy is wrong.
            RefusedError: A policy asks for what no played machine has.
            UsageError: There is no such policy.
        """
        if attest is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="sodbench-played-") as kept:
            url, references = sqlite_url(Path(kept, "registry.sqlite")), Path(kept, "reference")
            with self._opened(url) as registry:
                for role in HOSTS:
                    self._enrol(rig, role, registry, attest)
                self._record(rig, attest, references)
                yield Registered(registry=registry, url=url, references=references)

    @contextmanager
    def _opened(self, url: str) -> Iterator[Registry]:
        """The registry, which fails as one whose server is gone where the script says so."""
        database = Database(url, wait_s=_WAIT_S)
        schema.bring_up(database, self._now)
        event.listen(database.engine, "begin", self._require_registry)
        with Registry(database, self._now) as registry:
            yield registry

    def _require_registry(self, _connection: Connection) -> None:
        if self.registry_gone:
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("played: connection refused"))

    def _leave_registry(self, *, gone: bool) -> None:
        self.registry_gone = gone

    def _now(self) -> Instant:
        now_ns = self._clock.now_ns()
        return Instant(
            realtime_ns=now_ns + REALTIME_OFFSET_NS, monotonic_ns=now_ns, boot_id="played-controller"
        )

    def _enrol(self, rig: Rig, role: str, registry: Registry, attest: Attest) -> None:
        """Enrol a host, as `sodbench attest enrol` does."""
        request = enrolment.Request(
            name=role,
            kind="host",
            authorities=authorities.of_machine(rig.hosts[role], authorities.HOST_AUTHORITY),
            keys=attest.keys,
        )
        with ExitStack() as stack:
            enrolment.enrol(remote(rig.hosts[role], self._clock, stack), registry, request, self._clock)

    def _record(self, rig: Rig, attest: Attest, folder: Path) -> None:
        """Keep the machines' reference values; a played guest boots exactly as a played host does."""
        host, guest = (load_policy(places.policy_file(one)) for one in (attest.policy, attest.guest_policy))
        judged = {role: (role, host) for role in HOSTS} | {f"guest-{rig.image_key}": (HOSTS[0], guest)}
        for name, (role, policy) in judged.items():
            asked = Ask(
                key=attest.keys[0],
                nonce=secrets.token_bytes(_NONCE_BYTES),
                pcrs=policy.pcrs,
                bank=policy.bank,
                ima_from=0,
                event_log=True,
            )
            with ExitStack() as stack:
                said = remote(rig.hosts[role], self._clock, stack).quote(asked)
            write_atomic(folder / f"{name}.yml", to_yaml(record(said.evidence, policy)).encode())
