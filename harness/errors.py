"""The one exception tree: every failure says what, where, why and what to do, and has an exit code.

Nothing in the harness exits or prints by itself; the command line turns one of these into a message and
the documented exit code. An exit code is a kind of failure, never a count.
"""

from __future__ import annotations

from typing import ClassVar


class SodbenchError(Exception):
    """A failure that a person can act on.

    Args:
        what: What failed, in one sentence.
        where: The place: ``file:line``, host or trial.
        why: The cause as far as known, e.g. the message of the library underneath.
        remedy: What to do next.
        retry: Whether doing the same again may help.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(
        self, what: str, *, where: str = "", why: str = "", remedy: str = "", retry: bool = False
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy
        self.retry = retry

    @property
    def summary(self) -> str:
        """The message in one line, without the remedy: for a journal or a table."""
        what = f"{self.where}: {self.what}" if self.where else self.what
        return " ".join(f"{what}: {self.why}".split()) if self.why else what

    def __str__(self) -> str:
        """The whole message in plain text, one line a part."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.why:
            parts.append(f"  why: {self.why}")
        if self.remedy:
            parts.append(f"  do:  {self.remedy}")
        return "\n".join(parts)


class UsageError(SodbenchError):
    """The command line itself is wrong (the code every Unix tool uses for it)."""

    exit_code = 2
    kind = "usage"


class InputFileError(SodbenchError):
    """A file that a person wrote, or named, cannot be read or says something wrong."""

    exit_code = 3
    kind = "file"


class CampaignError(InputFileError):
    """A campaign is wrong; nothing was touched."""

    kind = "campaign"


class InventoryError(InputFileError):
    """An inventory, or variables that go into one, are wrong; nothing was touched."""

    kind = "inventory"


class PrerequisiteError(SodbenchError):
    """This machine or the rig lacks something the campaign needs; found before the run."""

    exit_code = 4
    kind = "prerequisite"


class UnreachableError(SodbenchError):
    """A machine of the rig does not answer, or refuses the key."""

    exit_code = 5
    kind = "unreachable"


class ProvisionError(SodbenchError):
    """Building or provisioning a machine failed; the playbook's own output has the detail."""

    exit_code = 6
    kind = "provision"


class RigLockedError(SodbenchError):
    """Another controller is using the rig; the message names the holder."""

    exit_code = 7
    kind = "locked"


class GuestError(SodbenchError):
    """The guest does not start, does not answer, or is not where it should be."""

    exit_code = 8
    kind = "guest"


class WorkloadError(SodbenchError):
    """A workload's tool is missing, died, or never became steady."""

    exit_code = 9
    kind = "workload"


class MigrationError(SodbenchError):
    """A migration could not be asked for at all; one that was tried and failed is an outcome instead."""

    exit_code = 10
    kind = "migration"


class StorageError(SodbenchError):
    """No space, or a file of the results or of the shared storage cannot be written."""

    exit_code = 11
    kind = "storage"


class RecordError(SodbenchError):
    """A stored run is damaged, of another schema, or not where the user said."""

    exit_code = 12
    kind = "record"


class AlteredError(RecordError):
    """What was summed or signed is not as it was; nothing was computed from it."""

    exit_code = 21
    kind = "altered"


class IncomparableError(SodbenchError):
    """Two runs differ in what would explain any difference of their numbers; nothing was compared."""

    exit_code = 22
    kind = "incomparable"


class RegressedError(SodbenchError):
    """A run is worse than its baseline in a metric that its campaign declared."""

    exit_code = 23
    kind = "regressed"


class InconclusiveError(SodbenchError):
    """Whether a run is worse than its baseline was not shown; the message says how many trials that needs."""

    exit_code = 24
    kind = "inconclusive"


class UnreconciledError(SodbenchError):
    """The logs of a private virtual infrastructure do not agree: one side has what the other has not."""

    exit_code = 25
    kind = "unreconciled"


class RemainsError(SodbenchError):
    """A certificate does not show that nothing of a guest is left on its host."""

    exit_code = 26
    kind = "remains"


class AgreementBrokenError(SodbenchError):
    """A service level agreement is not shown to be kept."""

    exit_code = 27
    kind = "agreement-broken"


class IncompleteRunError(SodbenchError):
    """The run ended, but some trials are not valid; the report says which and why."""

    exit_code = 13
    kind = "incomplete"


class InterruptedRunError(SodbenchError):
    """The user interrupted; the machines are as they were and `resume` goes on."""

    exit_code = 130
    kind = "interrupted"
