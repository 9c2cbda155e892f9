from __future__ import annotations

import os
import re
import resource
import threading
from pathlib import Path

import pytest

from harness.errors import RecordError, StorageError
from harness.evidence.folder import SCHEMA_VERSION, RunFolder, create, find
from harness.files import read_json, write_atomic, write_json
from harness.json_types import Json


def run_at(root: Path, started: str = "2026-01-01T00:00:00+00:00") -> RunFolder:
    run = RunFolder(root)
    write_json(run.manifest, {"schema": 1, "started_utc": started})
    return run


def test_a_new_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = create(tmp_path, "demo"), create(tmp_path, "demo")
    assert first.root != second.root
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", first.root.name)
    assert first.root.parent == tmp_path / "demo"
    assert sorted(path.name for path in first.root.iterdir()) == ["environment", "trials"]


def test_results_that_cannot_be_made_are_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder cannot be made"):
        create(tmp_path / "file", "demo")


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.attempt("001-idle", 2) == tmp_path / "trials" / "001-idle" / "attempt-2"
    assert run.environment("a", "before") == tmp_path / "environment" / "a.before.json"
    assert (run.journal.name, run.plan.name, run.campaign.name) == (
        "journal.jsonl",
        "plan.json",
        "campaign.yml",
    )


def test_find_takes_the_folder_itself_or_the_newest_below(tmp_path: Path) -> None:
    old = run_at(tmp_path / "zeta" / "20260101T000000Z-ffffff")
    new = run_at(tmp_path / "alpha" / "20260102T000000Z-000000", "2026-01-02T00:00:00+00:00")
    same = run_at(tmp_path / "beta" / "20260102T000000Z-00000a", "2026-01-02T00:00:00+00:00")
    os.utime(new.manifest, ns=(2, 2))
    os.utime(same.manifest, ns=(1, 1))
    assert find(old.root) == old
    assert find(tmp_path) == new


def test_the_newest_run_is_the_one_that_began_last_whatever_its_folder_is_called(tmp_path: Path) -> None:
    run_at(tmp_path / "zz-renamed", "2026-01-01T00:00:00+00:00")
    run_at(tmp_path / "20260103T000000Z-000000", "2026-01-02T22:59:59+00:00")
    newest = run_at(tmp_path / "aa-renamed", "2026-01-03T00:00:00+01:00")
    assert find(tmp_path) == newest


def test_a_packed_run_is_not_chosen_and_is_named_with_the_way_to_unpack_it(tmp_path: Path) -> None:
    run = run_at(tmp_path / "results" / "mine")
    packed = run_at(tmp_path / "results" / "run", "2027-01-01T00:00:00+00:00")
    (packed.root / "journal.jsonl.gz").write_bytes(b"")
    assert find(tmp_path / "results") == run
    for path in (packed.root, packed.root.parent):
        if path == packed.root.parent:
            run.manifest.unlink()
        with pytest.raises(RecordError, match="packed") as caught:
            find(path)
        assert f"sodbench archive unpack {packed.root}" in caught.value.remedy


def test_series_alone_that_are_packed_make_a_packed_run(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run")
    run.attempt("001-idle", 1).mkdir(parents=True)
    (run.attempt("001-idle", 1) / "heartbeat.csv.parquet-of-csv").write_bytes(b"")
    with pytest.raises(RecordError, match="packed"):
        find(tmp_path)


@pytest.mark.parametrize("started", ["yesterday", ""])
def test_among_several_a_run_without_a_known_start_has_to_be_named(tmp_path: Path, started: str) -> None:
    one = run_at(tmp_path / "one", started)
    assert find(tmp_path) == one
    run_at(tmp_path / "two")
    with pytest.raises(RecordError, match="newest cannot be told") as caught:
        find(tmp_path)
    assert caught.value.where == str(one.manifest)
    one.manifest.write_bytes(b"{")
    with pytest.raises(RecordError, match="newest cannot be told"):
        find(tmp_path)


@pytest.mark.parametrize("schema", [SCHEMA_VERSION + 1, 0, "1", 1.0, True, None])
def test_a_run_of_another_schema_is_refused_by_name(tmp_path: Path, schema: Json) -> None:
    run = RunFolder(tmp_path)
    write_json(run.manifest, {"schema": schema, "version": "9.9"})
    with pytest.raises(RecordError, match="schema") as caught:
        find(tmp_path)
    assert caught.value.where == str(run.manifest)
    assert "9.9" in caught.value.why


@pytest.mark.parametrize("schema", range(1, SCHEMA_VERSION + 1))
def test_a_run_of_every_schema_so_far_is_read(tmp_path: Path, schema: int) -> None:
    run = RunFolder(tmp_path)
    write_json(run.manifest, {"schema": schema, "version": "0.1.0"})
    assert find(tmp_path) == run


def test_a_run_without_a_schema_is_refused(tmp_path: Path) -> None:
    write_json(RunFolder(tmp_path).manifest, {"version": "9.9"})
    with pytest.raises(RecordError, match="without a schema"):
        find(tmp_path)


def test_find_says_when_there_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RecordError, match="no run here") as caught:
            find(path)
        assert caught.value.where == str(path)


def test_json_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "manifest.json"
    write_json(path, {"b": [1, 2.5, None], "a": "é"})
    assert read_json(path) == {"a": "é", "b": [1, 2.5, None]}
    assert [file.name for file in path.parent.iterdir()] == ["manifest.json"]
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert read_json(path)["a"] == "é"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_json(path)
    assert caught.value.where == str(path)


def test_a_full_disk_keeps_the_older_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_atomic(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot write") as caught:
            write_atomic(path, b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_file_where_a_folder_should_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(tmp_path / "file" / "x.json", b"")


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x"
    contents = [bytes([65 + number]) * 50_000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(5):
            write_atomic(path, content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
