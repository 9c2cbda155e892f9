"""How full a guest's memory is: filled by reading, checked by its own counters, refused where too much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.file import loads
from harness.campaign.plan import expand
from harness.campaign.run import fullness
from harness.errors import CampaignError, WorkloadError
from harness.evidence import journal
from harness.evidence.events import GuestMemory, PageCacheFilled
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.report import material
from harness.report.document.model import Table
from harness.report.migration.fullness import sections
from harness.rig.contract import CommandError
from harness.rig.guest import fill_page_cache
from tests.played import campaigns
from tests.played.campaigns import SMALL
from tests.synthetic.campaigns import MINIMAL
from tests.synthetic.clocks import SteppedClock

MIB = 1 << 20
MEMINFO = """\
MemTotal:        1014784 kB
MemFree:          600000 kB
MemAvailable:     880640 kB
Buffers:            8192 kB
Cached:           204800 kB
SwapCached:            0 kB
"""


class Guest:
    """A guest that answers as it is told to."""

    role = "guest"

    def __init__(self, filled: str = "", meminfo: str | None = MEMINFO, status: int = 0) -> None:
        self._filled, self._meminfo, self._status = filled, meminfo, status

    def python(self, program: Path, arguments: str = "") -> str:
        return f"{program.stem} {arguments}"

    def attempt(self, command: str, **_options: Any) -> tuple[int, str, str]:
        assert command.startswith("fill_page_cache ")
        return self._status, self._filled, "no python3\n"

    def run(self, _command: str, **_options: Any) -> str:
        if self._meminfo is None:
            raise CommandError("no end after 5 s", where="guest")
        return self._meminfo


def answering(filled: str = "", meminfo: str | None = MEMINFO, status: int = 0) -> Any:
    return Guest(filled, meminfo, status)


def recorded(path: Path, step: Any) -> list[Any]:
    """What `step` records, and the error it ends with, if any."""
    clock = SteppedClock()
    with Journal(path / "journal.jsonl", clock) as writer:
        record = Record(journal=writer, clock=clock, folder=path, trial="001-idle", attempt=1)
        try:
            step(record)
        except WorkloadError as error:
            return [*(one.value for one in journal.read(path / "journal.jsonl")), error]
    return [one.value for one in journal.read(path / "journal.jsonl")]


def told(read_mib: int, cached_mib: int) -> str:
    return json.dumps({"read_bytes": read_mib * MIB, "cached_bytes": cached_mib * MIB})


def test_what_was_read_and_is_held_is_recorded(tmp_path: Path) -> None:
    (filled,) = recorded(tmp_path, lambda record: fullness.fill(answering(told(150, 200)), record, 200))
    assert isinstance(filled, PageCacheFilled)
    assert (filled.asked_bytes, filled.cached_bytes, filled.read_bytes) == (200 * MIB, 200 * MIB, 150 * MIB)


def test_a_guest_that_does_not_hold_it_ends_the_attempt_with_what_it_holds(tmp_path: Path) -> None:
    filled, error = recorded(tmp_path, lambda record: fullness.fill(answering(told(900, 199)), record, 200))
    assert isinstance(filled, PageCacheFilled)
    assert "199 of 200 MiB after 900 MiB were read" in str(error)


@pytest.mark.parametrize(
    "said",
    ["", "{}", "[]", '{"read_bytes": true, "cached_bytes": 1}', '{"read_bytes": -1, "cached_bytes": 1}'],
)
def test_an_answer_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    (error,) = recorded(tmp_path, lambda record: fullness.fill(answering(said), record, 200))
    assert "does not say what its page cache holds" in str(error)


def test_a_guest_that_cannot_read_says_why(tmp_path: Path) -> None:
    (error,) = recorded(tmp_path, lambda record: fullness.fill(answering(status=127), record, 200))
    assert "no python3" in str(error)


def test_the_guests_own_counters_are_recorded(tmp_path: Path) -> None:
    (memory,) = recorded(tmp_path, lambda record: fullness.tell(answering(), record, None))
    assert isinstance(memory, GuestMemory)
    assert (memory.total_bytes, memory.cached_bytes) == (1014784 * 1024, 200 * MIB)


@pytest.mark.parametrize(("asked_mib", "held"), [(200, True), (210, True), (211, False)])
def test_a_cache_that_shrinks_under_the_load_ends_the_attempt(
    tmp_path: Path, asked_mib: int, held: bool
) -> None:
    memory, *errors = recorded(tmp_path, lambda record: fullness.tell(answering(), record, asked_mib))
    assert isinstance(memory, GuestMemory)
    assert bool(errors) is not held
    assert all("200 of 211 MiB are left" in str(error) for error in errors)


@pytest.mark.parametrize("meminfo", [None, "", MEMINFO.replace("Cached:  ", "Kept:  ")])
def test_counters_that_cannot_be_read_are_null_with_the_reason(tmp_path: Path, meminfo: str | None) -> None:
    if meminfo is None:
        (failed,) = recorded(tmp_path, lambda record: fullness.tell(answering(meminfo=None), record, None))
        assert (failed.observer, failed.reason) == ("guest-memory", "guest: no end after 5 s")
    else:
        (failed,) = recorded(tmp_path, lambda record: fullness.tell(answering(meminfo=meminfo), record, None))
        assert "in /proc/meminfo" in failed.reason


def test_files_are_read_in_order_until_enough_is_held(tmp_path: Path) -> None:
    for name in ("b", "a/one", "a/two", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(3 * MIB))
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert [Path(one).name for one in fill_page_cache.files(str(tmp_path))] == ["b", "c", "one", "two"]
    held = iter(range(100))
    # Asked before each block and after each file: the sixth question is the first one answered with enough.
    assert fill_page_cache.fill(5, [str(tmp_path)], lambda: next(held)) == 3 * MIB
    assert fill_page_cache.fill(5, [str(tmp_path), "/not/there"], lambda: 0) == 12 * MIB


def test_the_guests_counter_is_read_from_its_kernel() -> None:
    assert fill_page_cache.cached_bytes(MEMINFO) == 200 * MIB
    with pytest.raises(ValueError, match="no line Cached"):
        fill_page_cache.cached_bytes("")


def test_each_trial_has_the_cache_of_its_workload_or_of_the_guest() -> None:
    text = MINIMAL.replace("[idle, file]", "[idle, {name: file, page_cache_mib: 300}]")
    plan = expand(loads(text + "guest: {page_cache_mib: 500}\n", "c.yml"))
    assert {one.workload: one.page_cache_mib for one in plan.trials} == {"idle": 500, "file": 300}
    plain = expand(loads(MINIMAL, "c.yml"))
    assert "page_cache_mib" not in json.dumps(plain.to_json())


@pytest.mark.parametrize(
    ("extra", "line", "said"),
    [
        ("guest: {page_cache_mib: 833}\n", 6, "holds at most 832: its kernel and services take 192"),
        ("guest: {image: small, page_cache_mib: 1}\n", 6, "image: small, which has no disk to read"),
        (
            "guest: {page_cache_mib: 400}\nguests: {each: [{name: g1}, {name: g2, memory_mib: 500}]}\n",
            6,
            "a guest of 500 MiB",
        ),
        (
            "variants:\n  young: {}\n  aged: {guest: {page_cache_mib: 900}}\n",
            8,
            "holds at most 832",
        ),
        (
            "guest: {page_cache_mib: 400}\nvariants:\n  large: {}\n  small: {guest: {memory_mib: 512}}\n",
            9,
            "holds at most 320",
        ),
    ],
)
def test_a_cache_that_the_memory_cannot_hold_is_refused_before_the_run(
    extra: str, line: int, said: str
) -> None:
    with pytest.raises(CampaignError) as caught:
        loads(MINIMAL.replace("[idle, file]", "[idle]") + extra, "c.yml")
    assert f"c.yml:{line}" in str(caught.value)
    assert said in str(caught.value)


def test_two_answers_to_how_large_it_is_are_refused() -> None:
    text = MINIMAL.replace("[idle, file]", "[{name: idle, page_cache_mib: 300}]")
    with pytest.raises(CampaignError, match="'idle' has its own"):
        loads(text + "variants:\n  young: {}\n  aged: {guest: {page_cache_mib: 500}}\n", "c.yml")


def test_a_played_run_says_of_each_trial_how_full_the_memory_was(tmp_path: Path) -> None:
    run = campaigns.begin(tmp_path, SMALL + "guest: {page_cache_mib: 400}\n")
    assert campaigns.carry_out(run, SMALL + "guest: {page_cache_mib: 400}\n") is not None
    (section,) = sections(material.read(run))
    (table,) = section.blocks
    assert isinstance(table, Table)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert sorted(row[0][4:] for row in rows) == ["file", "idle"]
    assert {tuple(row[2:4]) for row in rows} == {("419", "419")}
    assert all(row[5].isdigit() for row in rows)


def test_how_long_the_guest_has_been_up_is_counted_with_its_memory_or_is_null(tmp_path: Path) -> None:
    (memory,) = recorded(
        tmp_path, lambda record: fullness.tell(answering(meminfo=MEMINFO + "93.07 88.10\n"), record, None)
    )
    assert memory.up_s == 93.07
    assert fullness.counted(MEMINFO).up_s is None
