"""A run's folder: where each piece of a run lies, and how files get there whole.

The layout is documented in ``docs/journal.md``. Files other than the journal and the raw series are written
to a temporary name and renamed, so a reader never sees half a file.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__, disk, sums
from harness.clock import realtime_ns
from harness.errors import RecordError
from harness.files import RESTORE, read_json
from harness.json_types import Json
from harness.legible import legible
from harness.pair_name import ONLY_GUEST

SCHEMA_VERSION = 2
"""Version of the layout, the journal's vocabulary and the metrics together; older ones are read as well.

2: a machine's ``clock.sampled`` has the id of its boot. An outage is the longest gap that overlaps the
migration, where that of schema 1 was the longest of the whole interval: a run of schema 1 has the same
evidence, and its metrics are computed from that again.
"""


DERIVED = frozenset(
    f"{table}.{form}" for table in ("metrics", "attestations", "responses") for form in ("parquet", "csv")
)
"""Names of the files that are computed from a run's evidence; every other file of a run is evidence."""

PACKED_SUFFIXES = (".parquet-of-csv", ".gz")
"""What an archive appends to the name of a file that it keeps smaller (:mod:`harness.evidence.archive`)."""

_MANIFEST = "manifest.json"


OF_GUESTS = ("heartbeat.csv",)
"""The series that each of several guests has for itself."""


def of_guest(file: str, guest: str | None) -> str:
    """What a guest's own `file` is called: as ever for the one guest, else with the guest's name in it."""
    name, dot, kind = file.partition(".")
    return file if guest in {None, ONLY_GUEST} else f"{name}-{guest}{dot}{kind}"


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
    def script(self) -> Path:
        """What was played, for a run that was (:mod:`harness.rig.played`)."""
        return self.root / "script.yml"

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
        then = "--results names another place"
        raise disk.failure("the run's folder cannot be made", root, error, then=then) from error
    return RunFolder(root)


def find(path: Path) -> RunFolder:
    """The run that the user means by `path`: that folder's, or of those below it the one that began last.

    A packed run is not chosen from below a folder: nothing but `archive unpack` reads one.

    Raises:
        RecordError: There is none, it is packed or of another schema, or which is the newest cannot be told.
    """
    if is_packed(path):
        raise _packed(path)
    if (path / _MANIFEST).is_file():
        return _readable(path)
    below = {one.parent for one in path.glob(f"**/{_MANIFEST}*")} if path.is_dir() else set()
    packed = sorted(one for one in below if is_packed(one))
    runs = sorted(one for one in below if (one / _MANIFEST).is_file() and not is_packed(one))
    if runs:
        return _readable(max(runs, key=_start) if len(runs) > 1 else runs[0])
    if packed:
        raise _packed(*packed)
    raise RecordError(
        "no run here",
        where=legible(str(path)),
        why="neither this folder nor one below it holds a manifest.json",
        remedy="name a folder that `sodbench run` printed, or run a campaign first",
    )


def is_packed(root: Path) -> bool:
    """Whether the folder `root` holds a run as an archive keeps it, with files that nothing else reads."""
    core = (_MANIFEST, "plan.json", "journal.jsonl")
    smaller = (root / f"{name}{suffix}" for name in core for suffix in PACKED_SUFFIXES)
    series = (one for suffix in PACKED_SUFFIXES for one in root.glob(f"trials/*/*/*{suffix}"))
    return any(one.is_file() for one in smaller) or any(series)


def _packed(*roots: Path) -> RecordError:
    first = shlex.quote(legible(str(roots[0])))
    others = "" if len(roots) == 1 else f", and {len(roots) - 1} more below"
    return RecordError(
        "this run is packed" if not others else "every run here is packed",
        where=legible(str(roots[0])) + others,
        why="what `sodbench archive pack` keeps can only be unpacked",
        remedy=f"sodbench archive unpack {first} RUN, then name RUN",
    )


def _readable(root: Path) -> RunFolder:
    run = RunFolder(root)
    read_manifest(run)
    return run


def _start(root: Path) -> tuple[datetime, int]:
    """When the run began, to the second as its manifest says; within a second, when that was written."""
    manifest = root / _MANIFEST
    try:
        began = datetime.fromisoformat(str(read_json(manifest).get("started_utc")))
        return began if began.tzinfo else began.replace(tzinfo=UTC), manifest.stat().st_mtime_ns
    except (ValueError, OSError, RecordError) as error:
        raise RecordError(
            "which run is the newest cannot be told",
            where=legible(str(manifest)),
            why=error.summary if isinstance(error, RecordError) else str(error),
            remedy="name the run's folder itself",
        ) from error


def read_manifest(run: RunFolder) -> dict[str, Json]:
    """What was run; refused where it is of a version that this program does not know.

    Raises:
        RecordError: It is missing, not a JSON object, or of another schema.
    """
    manifest = read_json(run.manifest)
    require_schema(manifest, run.manifest)
    return manifest


def require_schema(manifest: Mapping[str, Json], place: Path) -> None:
    """Refuse a manifest, kept at `place`, of a version that this program does not know.

    Raises:
        RecordError: It has another schema, or none.
    """
    schema = manifest.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA_VERSION:
        writer = legible(str(manifest.get("version") or "of an unknown version"))[:60]
        raise RecordError(
            f"a run of schema {json.dumps(schema)[:60]}"
            if "schema" in manifest
            else "a run without a schema",
            where=legible(str(place)),
            why=f"sodbench {writer} wrote it; this is {__version__} and reads schemas 1 to {SCHEMA_VERSION}",
            remedy="use the sodbench that wrote it, or a newer one; nothing of the run was changed",
        )


def require_version(raw: bytes, key: str, known: int, what: str, place: Path) -> None:
    """Refuse the JSON object in `raw`, kept at `place`, whose `key` says another version than `known`.

    Anything else that is wrong with it, a missing version included, is for its reader to tell.

    Raises:
        RecordError: It is of another version.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return
    found = value.get(key, known) if isinstance(value, dict) else known
    if type(found) is not int or found != known:
        raise RecordError(
            f"{what} of {key} {json.dumps(found)[:60]}",
            where=legible(str(place)),
            why=f"this is sodbench {__version__}, which reads {key} {known}",
            remedy="use the version of sodbench that wrote it, or a newer one",
        )


def read_text(path: Path) -> str:
    """The text stored at `path`, which is UTF-8.

    Raises:
        RecordError: It is missing, or something else.
    """
    try:
        return sums.content(path, limit=sums.MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(
            "not a text file",
            where=legible(str(path)),
            why=f"byte {error.start} is not UTF-8",
            remedy=RESTORE,
        ) from error
