"""Death and resume at every event of a journal: only the attempt that was under way is ever lost.

A child of this warm process ends, without a word, right after the n-th write to the journal. What it leaves
is kept as it is, and once more with a last line that is torn. This process resumes each. What then stands
must be what an undisturbed run says, and what stood before must still stand there.
"""

from __future__ import annotations

import os
import resource
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest

from harness.campaign import state
from harness.cli.run import resume as resumed_by_the_command_line
from harness.errors import StorageError
from harness.evidence import journal, seal
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from tests.played import campaigns

CAMPAIGN = """\
name: deaths
workloads: [idle]
repetitions: 2
schedule: {window_s: 2, baseline_s: 1, points_s: [0]}
heartbeat: {rate_hz: 10}
"""
SCRIPT = "boot_s: 0.5\nmigration_s: 0.5\nblackout_s: 0.1\n"
TORN = b'{"seq":4711,"t_ns":1000'
_DIED = 77
CPU_LIMIT_S = 120.0
"""A minute on two cores."""

Resume = Callable[[RunFolder], None]


def resume(run: RunFolder) -> None:
    """As the command line does it."""
    resumed_by_the_command_line(run.root)


def in_child(do: Callable[[], object]) -> int:
    """The exit status of a child that does this, and 1 for whatever it raises."""
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            do()
        except BaseException:  # noqa: BLE001 - the status tells the parent, and pytest must not go on in the child
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    run: RunFolder
    events: Sequence[Event]
    figures: pd.DataFrame


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    run = campaigns.begin(tmp_path_factory.mktemp("undisturbed"), CAMPAIGN, SCRIPT)
    assert campaigns.carry_out(run, CAMPAIGN) is not None
    return Undisturbed(run, journal.read(run.journal), campaigns.figures(run))


def left_by_deaths(root: Path, points: Sequence[int]) -> Sequence[tuple[RunFolder, RunFolder]]:
    """What a controller leaves that dies right after an event, for each of `points`: whole, and torn.

    The run is carried out once. At each of the points a child is forked, which dies there with all that the
    controller had in mind. What it leaves is copied, and the controller goes on to the next point.
    """
    root.mkdir()
    run, statuses = campaigns.begin(root, CAMPAIGN, SCRIPT), list[int]()
    left = {n: (RunFolder(root / f"{n}/whole"), RunFolder(root / f"{n}/torn")) for n in points}

    def die(event: Event) -> None:
        if event.seq in left:
            statuses.append(in_child(lambda: os._exit(_DIED)))
            for one in left[event.seq]:
                shutil.copytree(run.root, one.root)
            with left[event.seq][1].journal.open("ab") as file:
                file.write(TORN)

    assert campaigns.carry_out(run, CAMPAIGN, listener=die) is not None
    assert statuses == [_DIED] * len(points)
    return [left[n] for n in points]


def broken(run: RunFolder, undisturbed: Undisturbed, resume: Resume) -> Iterator[str]:
    """What is wrong with the run after its resume; nothing where all is well."""
    before = run.journal.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    stood = state.fold(journal.parse(before.decode()), campaigns.plan_of(CAMPAIGN))
    try:
        resume(run)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        yield f"the resume ended with {error!r}"
        return
    if not run.journal.read_bytes().startswith(before):
        yield "what the journal held is not what it holds"
    events = journal.read(run.journal)
    stands = state.fold(events, campaigns.plan_of(CAMPAIGN))
    if stands.status != "finished" or stands.counts["valid"] != len(stands.trials):
        yield f"the run stands at {stands.status}, {stands.counts}"
    for one in stood.trials:
        if one.finished and stands.of(one.trial.id).attempts != one.attempts:
            yield f"{one.trial.id} was finished, and was run again"
    if not seal.require(run):
        yield "the evidence has no sums"
    if not campaigns.figures(run).equals(undisturbed.figures):
        yield "the metrics are others"


def sweep(root: Path, points: Sequence[int], undisturbed: Undisturbed, resume: Resume) -> list[str]:
    """Die and resume at each of the points; what is wrong afterwards, by point."""
    wrong = []
    for n, runs in zip(points, left_by_deaths(root / f"from-{points[0]}", points), strict=True):
        for name, run in zip(("whole", "torn"), runs, strict=True):
            wrong += [f"event {n}, {name}: {one}" for one in broken(run, undisturbed, resume)]
            shutil.rmtree(run.root)
    return wrong


def forked(root: Path, points: Sequence[int], undisturbed: Undisturbed) -> list[str]:
    """The same in a child of its own, for a core of its own: the finding is in a file."""
    said = root / f"said-{points[0]}"
    status = in_child(lambda: said.write_text("\n".join(sweep(root, points, undisturbed, resume))))
    return [*said.read_text().splitlines(), *([] if status == 0 else [f"{points}: status {status}"])]


def test_a_run_that_dies_after_any_event_is_resumed_to_the_same_metrics(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    everywhere, begun_s = range(len(undisturbed.events)), _children_s()
    with ThreadPoolExecutor(2) as pool:
        halves = [pool.submit(forked, tmp_path, everywhere[start::2], undisturbed) for start in range(2)]
        assert list(chain.from_iterable(half.result() for half in halves)) == []
    assert _children_s() - begun_s <= CPU_LIMIT_S


def test_a_death_between_an_attempts_folder_and_its_first_event_is_resumed(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    first = next(one.seq for one in undisturbed.events if one.kind == "attempt.started")
    ((run, _torn),) = left_by_deaths(tmp_path / "run", [first - 1])
    folder = run.attempt("001-idle", 1)
    folder.mkdir(parents=True)
    assert list(broken(run, undisturbed, resume)) == []


def test_an_attempts_folder_with_files_that_no_event_tells_of_is_kept(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    first = next(one.seq for one in undisturbed.events if one.kind == "attempt.started")
    ((run, _torn),) = left_by_deaths(tmp_path / "run", [first - 1])
    folder = run.attempt("001-idle", 1)
    folder.mkdir(parents=True)
    (folder / "note").write_text("mine")
    with pytest.raises(StorageError, match="cannot be made"):
        resume(run)
    assert (folder / "note").read_text() == "mine"


def _children_s() -> float:
    """The CPU time of all children so far, in s: unlike a duration it holds on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_journal_that_was_swept_has_every_kind_that_a_migration_writes(undisturbed: Undisturbed) -> None:
    kinds = {event.kind for event in undisturbed.events}
    assert {"run.started", "guest.started", "migration.returned", "job.completed", "run.finished"} <= kinds
    assert len(undisturbed.events) > 40


def drops_an_event(run: RunFolder) -> None:
    """A resume that cuts a whole line off, as if it were torn."""
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(line for line in lines[:-1] if line.endswith(b"\n")))
    resume(run)


def runs_all_again(run: RunFolder) -> None:
    """A resume that does not see what is finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state.TrialState, "finished", property(lambda _one: False))
        resume(run)


def counts_the_unfinished(run: RunFolder) -> None:
    """A resume that takes an attempt without its last event for a finished one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "FINISHING", frozenset({*state.FINISHING, None}))
        resume(run)


@pytest.mark.parametrize(
    ("mutant", "finding"),
    [
        (drops_an_event, "what the journal held"),
        (runs_all_again, "was run again"),
        (counts_the_unfinished, "the resume ended with "),
    ],
)
def test_the_sweep_notices_a_resume_that_is_broken(
    tmp_path: Path, undisturbed: Undisturbed, mutant: Resume, finding: str
) -> None:
    ended = next(one.seq for one in undisturbed.events if one.kind == "attempt.finished")
    found = sweep(tmp_path, [ended - 1, ended], undisturbed, mutant)
    assert any(finding in one for one in found), found
