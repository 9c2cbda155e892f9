"""The certificate with which a host encrypts migrations, judged by the host's own clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SOON = timedelta(days=30)
"""A certificate that ends within this time is told of; provisioning replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The certificate with which a host encrypts migrations, and what it would be judged by.

    Attributes:
        begin: From when it is valid.
        end: Until when.
        now: The host's own clock.
        problem: Why there is no usable one; empty where there is.
    """

    begin: datetime | None = None
    end: datetime | None = None
    now: datetime | None = None
    problem: str = ""

    def judged(self) -> tuple[bool, str]:
        """Whether it can be used now and for some time, and what was found."""
        begin, end, now = self.begin, self.end, self.now
        if begin is None or end is None or now is None:
            return False, self.problem or "cannot be told"
        if now < begin:
            found = f"its certificate begins at {begin:%Y-%m-%d %H:%M} UTC, and its clock says {now:%H:%M}"
            return False, found
        left = end - now
        word = "has expired" if left < timedelta() else "lasts"
        return left > _SOON, f"its certificate {word}: {end:%Y-%m-%d %H:%M} UTC"


def certificate_of(answer: str) -> Certificate:
    """What a host said of its certificate for migrations.

    Args:
        answer: Its clock in s since 1970 on the first line, then the certificate (PEM) where there is one.
    """
    # A broken installation must still reach the other checks.
    from cryptography import x509  # noqa: PLC0415

    first, _, pem = answer.partition("\n")
    if not pem.strip():
        return Certificate(problem="it has no certificate: migrations fail, or are sent in the clear")
    try:
        now, found = datetime.fromtimestamp(int(first), UTC), x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        return Certificate(problem=f"its certificate cannot be read: {error}")
    return Certificate(begin=found.not_valid_before_utc, end=found.not_valid_after_utc, now=now)
