"""A factory for tests to use and to spoil: its folder, its audit log, and the machine that it is on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from harness.clock import NS_PER_S
from harness.json_types import Json
from harness.pvi.factory import ledger
from harness.pvi.factory.factory import Factory
from harness.pvi.factory.profiles import Asked, Profile
from harness.pvi.factory.whereabouts import Whereabouts

PASSPHRASE = "correct horse battery staple"
VM = "12345678-1234-4123-8123-123456789abc"
NOW_NS = 1_800_000_000 * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
HERE = Whereabouts(
    marks=frozenset({("machine-id", "a" * 32)}), virtualisation="none", randomness="dice", hardware="none"
)


@dataclass(frozen=True)
class Entry:
    """An entry of :class:`Log`."""

    body: Mapping[str, Json]


@dataclass
class Log:
    """An audit log in memory; `full` is how many entries it takes."""

    entries: list[tuple[str, str, Entry]] = field(default_factory=list)
    full: int = 1000

    def append(self, kind: str, subject: str, body: Mapping[str, Json]) -> Entry:
        """Append an entry, while there is room."""
        if len(self.entries) >= self.full:
            raise KilledError
        self.entries.append((kind, subject, Entry(dict(body))))
        return self.entries[-1][2]

    def newest(self, limit: int, *, kind: str | None = None, subject: str | None = None) -> Sequence[Entry]:
        """The last entries of the kind and subject."""
        return [entry for found, who, entry in self.entries if (found, who) == (kind, subject)][-limit:]

    @property
    def bodies(self) -> list[Mapping[str, Json]]:
        """What the entries say."""
        return [entry.body for _, _, entry in self.entries]


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Place:
    """A factory's folder and its log.

    Attributes:
        folder: The folder.
        log: The log.
        now_ns: The wall clock.
        here: The machine.
        passphrase: What the user gives.
    """

    folder: Path
    log: Log
    now_ns: int = NOW_NS
    here: Whereabouts = HERE
    passphrase: str = PASSPHRASE

    @contextmanager
    def open(self) -> Iterator[Factory]:
        """The factory, held."""
        with ledger.held(self.folder, self.log) as held:
            yield Factory(
                folder=self.folder,
                held=held,
                here=self.here,
                passphrase=lambda: self.passphrase,
                now_ns=lambda: self.now_ns,
            )

    def issue(self, asked: Asked) -> x509.Certificate:
        """Have a certificate issued."""
        with self.open() as factory:
            return factory.issue(asked)


CHEAP = 2**14
"""The least cost of a locked key that is read, for tests that lock many."""
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def asked(profile: Profile, **changed: object) -> Asked:
    """What is asked for of a profile, but for the endorsement of a VM or a probe."""
    reached = profile in {Profile.HOST, Profile.VPN, Profile.MIGRATION}
    settings: dict[str, object] = {
        "profile": profile,
        "name": "host-a" if reached else "vm-1",
        "key": EC_KEY.public_key(),
        "addresses": ("192.0.2.1", "host-a.example") if reached else (),
        "uuid": None if reached or profile is Profile.SIGNER else VM,
        "services": ("measured-boot", "encrypted-memory") if profile is Profile.HOST else (),
        **changed,
    }
    return Asked(**settings)  # type: ignore[arg-type]
