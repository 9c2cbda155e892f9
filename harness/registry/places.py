"""Where attestation keeps its files: shipped policies, and the user's registry, reference values and key.

The environment is read here and in :mod:`harness.data_folder`. Nothing here opens or makes a file.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness import resources
from harness.clock import realtime_ns
from harness.data_folder import data_folder
from harness.errors import UsageError
from harness.registry.audit.anchors import Anchors
from harness.registry.audit.syslog import Syslog
from harness.registry.url import sqlite_url

REGISTRY_VARIABLE = "SODBENCH_REGISTRY"
"""Environment variable with the registry's URL."""

ANCHORS_VARIABLE = "SODBENCH_ANCHORS"
"""Environment variable with the file of the audit log's anchors."""


SYSLOG_VARIABLE = "SODBENCH_ANCHORS_SYSLOG"
"""Environment variable with the log daemon that gets a copy of each anchor."""


def registry_url(asked: str | None = None) -> str:
    """The registry's URL: the one asked for, the environment's, or that of a file of the user's."""
    named = asked or os.environ.get(REGISTRY_VARIABLE)
    return named or sqlite_url(data_folder() / "registry.sqlite")


def reference_file(name: str, folder: Path | None = None) -> Path:
    """The reference values of `name`, a host's id, or ``guest-`` and the key of its image, in `folder`.

    By default that is the user's own.
    """
    return (folder or data_folder() / "reference") / f"{name}.yml"


def signing_key_file() -> Path:
    """The key that signs attestation results which leave this machine."""
    return data_folder() / "verifier-key.pem"


def anchors() -> Anchors:
    """Where heads of the audit log are signed and kept: a file of the user's, or the environment's.

    Raises:
        UsageError: The environment names an address that is no log daemon.
    """
    named, daemon = os.environ.get(ANCHORS_VARIABLE), os.environ.get(SYSLOG_VARIABLE)
    file = Path(named) if named else data_folder() / "audit-anchors.jsonl"
    return Anchors(
        file=file, key=signing_key_file(), wall_ns=realtime_ns, syslog=Syslog(daemon) if daemon else None
    )


def revocation_lists_file() -> Path:
    """What is remembered of the revocation lists that were used."""
    return data_folder() / "revocation-lists.json"


def vtpm_key_file() -> Path:
    """The key that the secrets of guests' TPMs are made from."""
    return data_folder() / "vtpm.key"


def image_digests() -> Path:
    """The folder with the digests of guests' images."""
    return data_folder() / "images"


def saved_digests() -> Path:
    """The folder with the digests of saved guests."""
    return data_folder() / "snapshots"


def policy_file(asked: str) -> Path:
    """The policy that a person names: a file, or a shipped one by its name.

    Raises:
        UsageError: There is neither.
    """
    shipped = resources.locate("policies")
    found = resources.chosen(asked, shipped)
    if found is None:
        raise UsageError("no such policy", where=asked, remedy=resources.unmet(asked, shipped))
    return found
