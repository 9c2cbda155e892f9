"""A run's folder: where each piece of a run lies, and how files get there whole.

The layout is documented in ``docs/journal.md``. Files other than the journal and the raw series are written
to a temporary name and renamed, so a reader never sees half a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.clock import realtime_ns
from harness.errors import RecordError, StorageError
from harness.journal import Json

SCHEMA_VERSION = 1
"""Version of the layout, the journal's vocabulary and the metrics' columns together."""

_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run. Creating the value touches nothing."""

    root: Path

    @property
    def manifest(self) -> Path:
        """What was run: versions, hashes, command line."""
        return self.root / "manifest.json"

    @property
    def campaign(self) -> Path:
        """The user's campaign, byte for byte."""
        return self.root / "campaign.yml"

    @property
    def plan(self) -> Path:
        """The expanded plan."""
        return self.root / "plan.json"

    @property
    def journal(self) -> Path:
        """The evidence."""
        return self.root / "journal.jsonl"

    @property
    def provisioning(self) -> Path:
        """ansible-runner's artifacts."""
        return self.root / "provisioning"

    @property
    def attestation(self) -> Path:
        """The folder of the policies and reference values that machines are judged by."""
        return self.root / "attestation"

    @property
    def metrics_parquet(self) -> Path:
        """The metrics, computed from the evidence."""
        return self.root / "metrics.parquet"

    @property
    def metrics_csv(self) -> Path:
        """The same rows for people and spreadsheets."""
        return self.root / "metrics.csv"

    def environment(self, machine: str, when: str) -> Path:
        """The facts of `machine` (a, b, client, controller, guest), `when` = before or after."""
        return self.root / "environment" / f"{machine}.{when}.json"

    def attempt(self, trial: str, attempt: int) -> Path:
        """The folder of one attempt's raw files."""
        return self.root / "trials" / trial / f"attempt-{attempt}"


def create(results: Path, campaign: str) -> RunFolder:
    """Make a new, empty run folder ``results/<campaign>/<utc>-<short id>``.

    Raises:
        StorageError: The folder cannot be made.
    """
    stamp = datetime.fromtimestamp(realtime_ns() / 1e9, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    root = results / campaign / f"{stamp}-{secrets.token_hex(3)}"
    try:
        root.mkdir(parents=True)
        (root / "environment").mkdir()
        (root / "trials").mkdir()
    except OSError as error:
        raise StorageError(
            "the run's folder cannot be made",
            where=str(root),
            why=str(error),
            remedy="choose another place with --results",
        ) from error
    return RunFolder(root)


def find(path: Path) -> RunFolder:
    """The run folder the user means by `path`: the folder itself, or the newest run below it.

    Raises:
        RecordError: There is none.
    """
    if (path / "manifest.json").is_file():
        return RunFolder(path)
    runs = sorted(path.glob("**/manifest.json"), key=_age) if path.is_dir() else []
    if not runs:
        raise RecordError(
            "no run here",
            where=str(path),
            why="neither this folder nor one below it holds a manifest.json",
            remedy="name a folder that `sodbench run` printed, or run a campaign first",
        )
    return RunFolder(runs[-1].parent)


def _age(manifest: Path) -> tuple[str, int]:
    """By the run's start to the second, as its name has it; within a second by the manifest's own stamp."""
    return manifest.parent.name.partition("-")[0], manifest.stat().st_mtime_ns


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` whole: temporary name, fsync, rename.

    Raises:
        StorageError: The disk is full or the folder is gone; an older file at `path` is intact.
    """
    # Several threads of several processes may write the same file: each has a name of its own.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_durably(temporary, data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            "cannot write", where=str(path), why=str(error), remedy="free space and try again", retry=True
        ) from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut: the name is in the folder, not in the file (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    """Write `value` as indented JSON with sorted keys, whole."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Json]:
    """The object stored at `path`.

    Raises:
        RecordError: It is missing or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError("cannot be read", where=str(path), why=str(error)) from error
    if not isinstance(value, dict):
        raise RecordError("not a JSON object", where=str(path))
    return value


def _files(root: Path) -> Iterator[Path]:
    """Every file of a run but the sums themselves, and what a killed process left half-written."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS" and not path.name.endswith(_PARTIAL):
            yield path


def write_checksums(run: RunFolder) -> None:
    """Write SHA256SUMS over every file of the run, in the format of sha256sum(1).

    Raises:
        RecordError: A file of the run cannot be read.
        StorageError: The sums cannot be written.
    """
    lines = [f"{_digest(path)}  {path.relative_to(run.root)}\n" for path in _files(run.root)]
    write_atomic(run.root / "SHA256SUMS", "".join(lines).encode())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordError("cannot be read", where=str(path), why=str(error)) from error
