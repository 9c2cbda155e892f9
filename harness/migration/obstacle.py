"""What kept a guest from moving, where it is a matter of keys: told from libvirt's and QEMU's own words.

Pure. Words that are not known give no obstacle: the error itself is always kept next to it.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Obstacle: TypeAlias = Literal["certificate", "vtpm-secret"]
"""``certificate``: one host does not accept the other's certificate, or its own. ``vtpm-secret``: the
destination does not have the secret that the state of the guest's TPM is encrypted with, or another."""

# A source that refuses the destination hangs up, and libvirt may hear of that from the destination first.
_CERTIFICATE = re.compile(r"certificate|\bTLS\b|x509|handshake|not a migration stream", re.IGNORECASE)
_SECRET = re.compile(r"\bsecret\b|swtpm|tpm[-_ ]?emulator|\bTPM\b", re.IGNORECASE)

_BEGUN = ": starting up libvirt version"
_QEMU = "qemu-system-x86_64: "
_REFUSED = re.compile(r"certificate|x509", re.IGNORECASE)


def obstacle(error: str) -> Obstacle | None:
    """The obstacle that `error` names, or None for one of another kind."""
    if _CERTIFICATE.search(error):
        return "certificate"
    return "vtpm-secret" if _SECRET.search(error) else None


def in_log(log: str) -> Obstacle | None:
    """The obstacle that a destination's QEMU names in its `log`, or its end, after it was last started.

    A source whose certificate is refused may hear no more than that the connection is gone; the destination,
    which refused it, says why. That a TLS connection broke off, as it says of any migration that ends
    too early, names none. Source: libvirt's ``/var/log/libvirt/qemu/<domain>.log``, whose line at each start
    has ``starting up libvirt version`` and is followed by QEMU's command line.
    """
    _, begun, since = log.rpartition(_BEGUN)
    refused = any(_QEMU in line and _REFUSED.search(line) for line in since.splitlines())
    return "certificate" if begun and refused else None
