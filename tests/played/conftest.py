"""What attested runs of this folder share: their machines' endorsement keys."""

from __future__ import annotations

from functools import cache
from itertools import count
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.attest.played import attester

_KEYS = 12
"""More than the machines of any one run have."""


@cache
def _key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(autouse=True)
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make RSA keys is a third of a short attested run: machines of different runs have the same ones."""
    numbers = count()
    taking_turns = SimpleNamespace(generate_private_key=lambda **_size: _key(next(numbers) % _KEYS))
    monkeypatch.setattr(attester, "rsa", taking_turns)
