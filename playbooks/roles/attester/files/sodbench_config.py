"""The attester's configuration: a TOML file, and the passwords of the TPM's hierarchies in another one.

It is read once at the start. An unknown entry refuses the whole file, so that a misspelt one cannot go
unnoticed.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOGS_LIMIT_BYTES = 190 * 2**20
"""What fits, as base64, into one line of 256 MiB."""


class ConfigError(Exception):
    """A configuration does not say what it should."""


@dataclass(frozen=True)
class Config:
    """The file that the program is given, checked.

    Attributes:
        tcti: How the TPM is reached, e.g. ``device:/dev/tpmrm0``.
        event_log: The TCG event log, if the machine keeps one.
        ima: The IMA measurement list, likewise.
        tpm_limit_s: How long the TPM may take for a quote.
        key_limit_s: How long it may take for a request that may have to make a key.
        logs_limit_bytes: The most of both logs that goes into one answer.
        auth: A file that only root can read, with the passwords of the TPM's hierarchies.
        architecture: A security architecture that the machine pretends to have.
        memory_violations: The file in which a simulator counts memory violations.
    """

    tcti: str
    event_log: Path | None = None
    ima: Path | None = None
    tpm_limit_s: float = 10.0
    key_limit_s: float = 120.0
    logs_limit_bytes: int = LOGS_LIMIT_BYTES
    auth: Path | None = None
    architecture: str | None = None
    memory_violations: Path | None = None


def load_config(path: Path) -> Config:
    """The configuration in a TOML file.

    Raises:
        ConfigError: It is not TOML, or an entry is unknown, missing or of the wrong type.
        OSError: It cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    simulated = values.pop("simulated", {})
    if not isinstance(simulated, dict) or set(simulated) - {"architecture", "memory_violations"}:
        raise ConfigError(f"{path}: [simulated] has architecture and memory_violations, nothing else")
    values |= simulated
    texts, numbers = {"tcti", "architecture"}, {"tpm_limit_s", "key_limit_s", "logs_limit_bytes"}
    paths = {"event_log", "ima", "auth", "memory_violations"}
    for name, value in values.items():
        if name not in texts | numbers | paths:
            raise ConfigError(f"{path}: unknown entry {name}")
        if name in numbers and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            raise ConfigError(f"{path}: {name} is a number above 0")
        if name not in numbers and (not isinstance(value, str) or not value):
            raise ConfigError(f"{path}: {name} is a text")
    if "tcti" not in values:
        raise ConfigError(f"{path}: tcti is missing")
    made: dict[str, Any] = {name: Path(value) if name in paths else value for name, value in values.items()}
    return Config(**made)


def load_auth(path: Path) -> dict[str, bytes]:
    """The passwords of the hierarchies ``owner`` and ``endorsement`` in a TOML file that only root can read.

    Raises:
        ConfigError: Others may read or write the file, or it has other entries.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        about = os.fstat(file.fileno())
        if about.st_mode & 0o077 or about.st_uid not in {0, os.geteuid()}:
            raise ConfigError(f"{path} must be its owner's alone (mode 0600)")
        try:
            values = tomllib.load(file)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
    if set(values) - {"owner", "endorsement"} or not all(isinstance(one, str) for one in values.values()):
        raise ConfigError(f"{path} has the texts owner and endorsement, nothing else")
    return {f"{name}_auth": value.encode() for name, value in values.items()}
