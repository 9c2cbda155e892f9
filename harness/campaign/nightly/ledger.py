"""What is recorded of a night, before and after each of its steps: a file that outlives a kill.

From these records follows whether hosts are still tuned: a step `tune` that began and was not followed by a
restoring that was done, in this night or a later one. The record says that tuning begins before it begins,
so that it errs to the safe side: a host that was not tuned yet is restored without a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness.errors import RecordError
from harness.files import MAX_JSON_BYTES, write_atomic
from harness.legible import legible
from harness.strict import Strict

TUNE = "tune"
RESTORES = frozenset({"restore earlier", "restore"})
_LONGEST_TOLD = 2000


class Step(Strict):
    """One step of a night.

    Attributes:
        name: Which one.
        outcome: ``running`` also where the night was killed in it.
        exit_code: 0, or that of the error.
        told: What it did, why it was skipped, or the error in one line.
        began_utc: ISO 8601; empty where it was skipped.
        ended_utc: The same; empty while it is running.
    """

    name: str
    outcome: Literal["running", "done", "failed", "skipped"]
    exit_code: int = 0
    told: str = ""
    began_utc: str = ""
    ended_utc: str = ""


class Ledger(Strict):
    """One night.

    Attributes:
        schema_version: Of this record.
        night: Its name: the instant at which it began, and its number.
        number: From 1, one more than that of the night before: clocks may be set back between two nights.
        file: The file that describes it.
        began_utc: ISO 8601.
        ended_utc: The same; empty where it is under way or was killed.
        run: The run's folder, once there is one.
        exit_code: Of the whole; None where it has not ended.
        steps: In the order in which they began.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    night: str
    number: int = Field(ge=1)
    file: str
    began_utc: str
    ended_utc: str = ""
    run: str | None = None
    exit_code: int | None = None
    steps: tuple[Step, ...] = Field(default=(), strict=False)

    def outcome(self, name: str) -> str:
        """The outcome of the last step of that name; empty where it has no such step."""
        return next((step.outcome for step in reversed(self.steps) if step.name == name), "")


def begun(file: Path, before: Sequence[Ledger], now: datetime) -> Ledger:
    """The record of a night that begins after those of `before`."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = max((one.number for one in before), default=0) + 1
    return Ledger(night=f"{stamp}-{number}", number=number, file=str(file), began_utc=instant(now))


def instant(now: datetime) -> str:
    """The instant in UTC, ISO 8601, to the second."""
    return now.astimezone(UTC).isoformat(timespec="seconds")


def told(text: str) -> str:
    """What a step says, on one line and bounded."""
    return legible(" ".join(text.split()))[:_LONGEST_TOLD]


def store(folder: Path, ledger: Ledger) -> None:
    """Write the record whole; it is on the disk when this returns.

    Raises:
        StorageError: It cannot be written; an older one is intact.
    """
    text = ledger.model_dump_json(by_alias=True, indent=2)
    write_atomic(folder / f"{ledger.night}.json", f"{text}\n".encode())


def read(path: Path) -> Ledger:
    """The record at `path`.

    Raises:
        RecordError: It is no such record, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return Ledger.model_validate_json(file.read(MAX_JSON_BYTES))
    except (OSError, ValidationError) as error:
        raise RecordError(
            "the record of a night cannot be read",
            where=legible(str(path)),
            why=told(str(error)),
            remedy="see that the hosts are restored (`sodbench rig restore`), then remove the file",
        ) from error


def earlier(folder: Path) -> tuple[list[Ledger], list[RecordError]]:
    """The records in `folder` in their order, and what is wrong with those that cannot be read."""
    found: list[Ledger] = []
    damaged: list[RecordError] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read(path))
        except RecordError as error:
            damaged.append(error)
    return sorted(found, key=lambda one: one.number), damaged


def owes_restore(ledgers: Iterable[Ledger]) -> bool:
    """Whether hosts may still be tuned; `ledgers` in their order."""
    owed = False
    for step in (step for ledger in ledgers for step in ledger.steps):
        if step.name == TUNE and step.outcome != "skipped":
            owed = True
        elif step.name in RESTORES and step.outcome == "done":
            owed = False
    return owed


def to_remove(ledgers: Sequence[Ledger], keep: int) -> list[Ledger]:
    """The nights that go where `keep` nights with a run stay; `ledgers` in their order, the oldest first.

    A night without a run goes where a later one with a run does; the newest `keep` with a run, and all
    after the oldest of these, stay.
    """
    with_run = [at for at, one in enumerate(ledgers) if one.run is not None]
    return list(ledgers[: with_run[-keep]]) if len(with_run) >= keep else []
