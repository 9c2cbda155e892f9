"""The factory's folder: its state, and steps that are taken whole, each with an entry of the audit log.

A step is written to ``pending.json``, then to the audit log, then carried out: files are written, and the
state counts it. A process that is killed between two of these leaves a pending step, which the next one
finishes. So nothing that was signed is used before the audit log has it.

The log counts the factory's steps as well. If it has more of them than the folder, a copy of the folder has
worked with the same authority, and this one refuses to go on; if it has fewer, it is not the factory's log.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from harness import disk, files, sums
from harness.attest.evidence import Count
from harness.errors import PrerequisiteError, RecordError
from harness.json_types import Json
from harness.legible import legible
from harness.pvi.factory.authority import Revoked
from harness.pvi.factory.whereabouts import Kind
from harness.pvi.ports import AuditLog
from harness.sentence import sentence
from harness.strict import Strict

STATE, PENDING, LOCK = "factory.json", "pending.json", "lock"
ENTRY = "pvi"
"""The kind of the audit log's entries."""
Model = TypeVar("Model", bound=Strict)
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Imported(Strict):
    """A version of a master image that the factory has.

    Attributes:
        name: The image's.
        number: The version's.
        manifest: SHA-256 of its manifest, in hexadecimal.
    """

    name: str
    number: Annotated[int, Field(ge=1)]
    manifest: Digest


class State(Strict):
    """What a factory has stored about its own state.

    Attributes:
        version: Of this form.
        name: The infrastructure's.
        root: SHA-256 of the root's certificate in DER, in hexadecimal.
        kind: On what machine it was made.
        virtualisation: See :class:`harness.pvi.factory.whereabouts.Whereabouts`, as for the next two.
        randomness: Where random numbers come from.
        hardware: What of the hardware speeds cryptography up or could keep keys.
        tcti: How the TPM is reached that has the factory's keys; empty where they are in files.
        steps: How many steps were taken.
        list_number: The number of the newest revocation lists.
        revoked: What the issuing authority has revoked.
        images: The master images, oldest first.
    """

    version: Literal[1] = 1
    name: str
    root: Digest
    kind: Kind = Field(strict=False)
    virtualisation: str
    randomness: str
    hardware: str
    tcti: str = ""
    steps: Count = 0
    list_number: Count = 0
    revoked: tuple[Revoked, ...] = Field(default=(), strict=False)
    images: tuple[Imported, ...] = Field(default=(), strict=False)

    @model_serializer(mode="wrap")
    def _without_what_it_has_not(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A factory without images and TPM is written, and so digested, as before there were any."""
        written: dict[str, object] = serialize(self)
        for name in ("images", "tcti"):
            if not written[name]:
                del written[name]
        return written

    @property
    def subject(self) -> str:
        """How the audit log calls the factory."""
        return f"factory {self.root[:16]}"


class Step(Strict):
    """One step: what it writes, and what the audit log is told.

    Attributes:
        does: What it does, such as ``issue``.
        says: Facts for the audit log.
        writes: Files under the factory's folder, by path.
        state: The factory's state afterwards.
    """

    does: str
    says: dict[str, str]
    writes: dict[str, str]
    state: State

    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        return _digest(self)

    def entry(self) -> Mapping[str, Json]:
        """What the audit log says of it."""
        told: dict[str, Json] = {"does": self.does, "step": self.state.steps, "state": _digest(self.state)}
        return {**self.says, **told, "digest": self.digest()}


class Ledger:
    """A factory's folder, held by this process alone; :func:`held` opens one."""

    def __init__(self, folder: Path, audit: AuditLog) -> None:
        self._folder = folder
        self._audit = audit
        self.state = _read(folder / STATE, State)
        self._recover()

    def take(self, step: Step) -> None:
        """Take a step, whose state counts one more than the present.

        Raises:
            RegistryError: The audit log does not take its entry; the step is pending.
            StorageError: A file cannot be written; the step is pending or was not begun.
        """
        files.write_json(self._folder / PENDING, step.model_dump(mode="json"))
        self._audit.append(ENTRY, step.state.subject, step.entry())
        self._carry_out(step)

    def _carry_out(self, step: Step) -> None:
        for name, text in step.writes.items():
            files.write_atomic(self._folder / _inside(name), text.encode())
        files.write_json(self._folder / STATE, step.state.model_dump(mode="json"))
        (self._folder / PENDING).unlink()
        self.state = step.state

    def _recover(self) -> None:
        """Finish a step that is pending, and see that the audit log is this factory's.

        Raises:
            PrerequisiteError: The log has more or fewer steps of this authority than the folder.
            RecordError: The state is not the one that the log has.
        """
        place = self._folder / PENDING
        pending = _read(place, Step) if place.exists() else None
        if pending is not None and pending.state.steps <= self.state.steps:
            place.unlink()  # it was carried out, and only its end was not noted
            pending = None
        newest = self._audit.newest(1, kind=ENTRY, subject=self.state.subject)
        unsaid: Mapping[str, Json] = {"step": 0, "state": _digest(self.state)}
        said = newest[-1].body if newest else unsaid
        if said.get("step") == self.state.steps:
            if said.get("state") != _digest(self.state):
                raise _damaged(self._folder / STATE, "it is not what the audit log has of it")
            if pending is not None:
                self._audit.append(ENTRY, pending.state.subject, pending.entry())
                self._carry_out(pending)
        elif pending is not None and said.get("digest") == pending.digest():
            self._carry_out(pending)
        else:
            raise self._forked(said.get("step"))

    def _forked(self, steps: Json) -> PrerequisiteError:
        more = isinstance(steps, int) and steps > self.state.steps
        return PrerequisiteError(
            "another factory has used this authority" if more else "this is not the audit log of the factory",
            where=legible(str(self._folder)),
            why=f"the log has {steps} steps of it, and the folder {self.state.steps}",
            remedy="work with the newest copy of the folder alone, and revoke what the others issued"
            if more
            else "name the registry that the factory was made with: --registry",
        )


@contextmanager
def held(folder: Path, audit: AuditLog) -> Iterator[Ledger]:
    """The ledger in `folder`; other processes wait until the block ends.

    Raises:
        PrerequisiteError: There is no factory, or the audit log is not its own.
        RecordError: Its files are damaged.
    """
    if not (folder / STATE).is_file():
        raise PrerequisiteError(
            "there is no factory",
            where=legible(str(folder)),
            remedy="sodbench pvi init, or name its --folder",
        )
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk.failure("the factory cannot be held", folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Ledger(folder, audit)
    finally:
        os.close(descriptor)


def _inside(name: str) -> PurePosixPath:
    """A path that stays in the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RecordError("a step of the factory leaves its folder", where=legible(name))
    return path


def _read(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(sums.content(path, limit=files.MAX_JSON_BYTES))
    except ValidationError as error:
        raise _damaged(path, sentence(error)) from error


def _digest(value: Strict) -> str:
    text = json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: Path, why: str) -> RecordError:
    return RecordError(
        "a file of the factory is damaged",
        where=legible(str(path)),
        why=why,
        remedy="restore the factory's folder from a copy",
    )
