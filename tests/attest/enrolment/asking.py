"""How a machine is asked to enrol, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography import x509

from harness.attest.attester.contract import (
    Answer,
    Ask,
    Attester,
    CreatedKey,
    Identity,
    Properties,
)
from harness.attest.evidence import EkType, KeyType, RefusedError
from harness.attest.identity.enrolment import Request, enrol
from harness.clock import MonotonicClock
from harness.registry.registry import Registry
from tests.attest.machine import Machine

CLOCK = MonotonicClock()
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.55"), None)])
KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")


def asked(of: Machine, name: str = "a", **options: object) -> Request:
    wanted = Request(name=name, kind="host", authorities=of.authorities, keys=("ecc-p256",))
    return replace(wanted, **options)  # type: ignore[arg-type]


def refused(attester: Attester, registry: Registry, request: Request) -> RefusedError:
    """The refusal; nothing of the request may be in the registry then."""
    before = registry.attesters()
    with pytest.raises(RefusedError) as caught:
        enrol(attester, registry, request, CLOCK)
    assert registry.attesters() == before
    return caught.value


@dataclass
class Altered:
    """An attester whose answers are changed on their way; a liar is no other thing."""

    honest: Attester
    identity: Callable[[Identity], Identity] = lambda said: said
    key: Callable[[CreatedKey], CreatedKey] = lambda said: said
    secret: Callable[[bytes], bytes] = lambda said: said
    answer: Callable[[Answer], Answer] = lambda said: said
    keys_made: int = 0

    def identify(self) -> Identity:
        return self.identity(self.honest.identify())

    def create_key(self, key: KeyType, *, ek: EkType | None = None) -> CreatedKey:
        self.keys_made += 1
        return self.key(self.honest.create_key(key, ek=ek))

    def activate(self, key: KeyType, credential: bytes, secret: bytes, *, ek: EkType | None = None) -> bytes:
        return self.secret(self.honest.activate(key, credential, secret, ek=ek))

    def quote(self, ask: Ask) -> Answer:
        return self.answer(self.honest.quote(ask))

    def properties(self) -> Properties:
        return self.honest.properties()

    def close(self) -> None:
        self.honest.close()
