"""What disturbs a played rig: a small file of events."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from harness.errors import InputFileError
from harness.strict import Strict
from harness.yaml_model import refusal, validated
from harness.yaml_source import parse, read_text

Host: TypeAlias = Literal["a", "b"]
Attested: TypeAlias = Literal["a", "b", "guest"]


class FailingMigration(Strict):
    """A migration that fails.

    Attributes:
        n: Which of its guest's, from 1.
        guest: Which guest of the process, from 1; None for each.
        after_s: When, in s after its start.
        error: What the hypervisor says.
    """

    n: int = Field(ge=1)
    guest: int | None = Field(default=None, ge=1)
    after_s: float = Field(default=1.0, ge=0, le=3600)
    error: str = Field(default="operation failed: the migration was played to fail", max_length=300)


class HostDies(Strict):
    """A host that is gone from a moment on, with whatever runs there.

    Attributes:
        host: Which.
        guest: During which guest of the process, from 1.
        after_s: When, in s after that guest was started.
    """

    host: Host
    guest: int = Field(default=1, ge=1)
    after_s: float = Field(ge=0, le=86400)


class GuestHangs(Strict):
    """A guest that is called running and does nothing any more.

    Attributes:
        guest: Which of the process, from 1; None for each.
        after_s: When, in s after it was started.
    """

    guest: int | None = Field(default=None, ge=1)
    after_s: float = Field(ge=0, le=86400)


class AttesterFallsSilent(Strict):
    """An attester that gives no answer for some time, or never again.

    Attributes:
        machine: Whose.
        guest: During which guest of the process, from 1.
        after_s: From when on, in s after that guest was started.
        for_s: For how long, s; None for ever.
    """

    machine: Attested
    guest: int = Field(default=1, ge=1)
    after_s: float = Field(ge=0, le=86400)
    for_s: float | None = Field(default=None, gt=0, le=86400)


class MeasurementsChange(Strict):
    """A machine that measures a file which its reference values do not know.

    Attributes:
        machine: Which.
        guest: During which guest of the process, from 1.
        after_s: When, in s after that guest was started.
    """

    machine: Attested
    guest: int = Field(default=1, ge=1)
    after_s: float = Field(ge=0, le=86400)


class RegistryGone(Strict):
    """A registry that does not answer for some time, or never again.

    Attributes:
        guest: During which guest of the process, from 1.
        after_s: From when on, in s after that guest was started.
        for_s: For how long, s; None for ever.
    """

    guest: int = Field(default=1, ge=1)
    after_s: float = Field(ge=0, le=86400)
    for_s: float | None = Field(default=None, gt=0, le=86400)


class Script(Strict):
    """The weather of a played rig, and how long things take there.

    Attributes:
        boot_s: From a guest's start until it answers.
        migration_s: A migration's length, its blackout included.
        blackout_s: How long a migration's guest executes nothing.
        sent_bytes: What a migration sends.
        fail: Migrations that fail.
        die: Hosts that die.
        hang: Guests that hang.
        quote_s: From a question to an attester until its answer.
        silent: Attesters that fall silent.
        measure: Machines whose measurements change.
        registry_gone: When the registry does not answer.
    """

    boot_s: float = Field(default=2.0, ge=0, le=3600)
    migration_s: float = Field(default=3.0, gt=0, le=3600)
    blackout_s: float = Field(default=0.2, ge=0, le=60)
    sent_bytes: int = Field(default=220_000_000, ge=0, le=10**15)
    fail: list[FailingMigration] = Field(default_factory=list)
    die: list[HostDies] = Field(default_factory=list)
    hang: list[GuestHangs] = Field(default_factory=list)
    quote_s: float = Field(default=0.02, ge=0, le=3600)
    silent: list[AttesterFallsSilent] = Field(default_factory=list)
    measure: list[MeasurementsChange] = Field(default_factory=list)
    registry_gone: list[RegistryGone] = Field(default_factory=list)


class ScriptError(InputFileError):
    """A file with a script is wrong; nothing was played."""

    kind = "script"


def load(path: Path) -> Script:
    """The script stored at `path`.

    Raises:
        InputFileError: The file cannot be read; as :class:`ScriptError`: something in it is wrong.
    """
    result, problems = validated(Script, parse(read_text(path)))
    if result is None:
        raise refusal(problems, str(path), ScriptError, "nothing was played")
    return result
