"""Errors of the registry itself; a refused identity is a :class:`RefusedError` instead."""

from __future__ import annotations

from harness.errors import SodbenchError


class RegistryError(SodbenchError):
    """The registry cannot be opened, read or written, or what it was handed has no place in it.

    The current change is not in the registry, not even in part.
    """

    exit_code = 16
    kind = "registry"


class NoRegistryError(RegistryError):
    """There is no registry at this place (yet), and none was made."""


class ConstraintError(RegistryError):
    """A rule of the schema forbids the change; the caller knows which identity, nonce or epoch that means."""


class ResponseOpenError(SodbenchError):
    """A response of this VM is open: one at a time, so that no two move it."""

    exit_code = 18
    kind = "response-open"


class ResponseOwnerError(ResponseOpenError):
    """Another controller adopted the response; the former owner must not act on it any more."""
