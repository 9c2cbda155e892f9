"""`sodbench trend` on played runs: the page, the feed, and what is left out or refused."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.trend import trend as command
from harness.errors import RecordError, SodbenchError, UsageError
from harness.evidence import seal
from harness.evidence.folder import RunFolder
from harness.files import read_json, write_json
from tests.played.nights import night
from tests.played.test_gate import PLAIN, TEXT, made
from tests.report.page import read as html

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return made(tmp_path_factory.mktemp("played") / "one")


@pytest.fixture(scope="module")
def results(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty nights; from the twentieth on migrations take 20 % longer, with a new kernel on host a."""
    place, draw = tmp_path_factory.mktemp("results") / "small", random.Random(3)
    for day in range(30):
        later = day >= 20
        facts = {"kernel": "6.99"} if later else None
        night(run, place, day, draw.gauss(1.2 if later else 1.0, 0.01), facts)
    return place


def told(*words: object) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(one) for one in words], env={"COLUMNS": "200"})
    return done.output, done.exception


def test_a_change_is_found_with_its_night_size_and_environment(results: Path) -> None:
    text, error = told(results, "--json")
    assert error is None, error
    found = json.loads(text)
    assert found["campaign"] == "small" and len(found["stops"]) == 30
    series = {one["metric"]: one for one in found["series"]}
    (change,) = series["total_time"]["changes"]
    assert (change["night"], change["direction"]) == (20, "worse")
    assert change["found"]["ratio"] == pytest.approx(1.2, abs=0.02)
    assert series["blackout"]["changes"] == []
    changed = {at: stop["changed"] for at, stop in enumerate(found["stops"]) if stop["changed"]}
    assert list(changed) == [20] and any(one.startswith("kernel.a: ") for one in changed[20])


def test_the_page_is_whole_and_each_point_leads_to_its_run(results: Path, tmp_path: Path) -> None:
    out, reports = tmp_path / "page", tmp_path / "reports"
    newest = max(results.iterdir())
    (reports / newest.name).mkdir(parents=True)
    (reports / newest.name / "report.html").write_text("a report")
    text, error = told(results, "--out", out, "--reports", reports)
    assert error is None, error
    assert "since" in text and "PLAYED, not measured" in text and "kernel.a: " in text
    page = html((out / "index.html").read_text())
    marks = [one for svg in page.all("svg") for one in svg.all("a")]
    assert len(marks) == 2 * 30
    targets = [out / unquote(one.attributes["href"]) for one in marks]
    assert all(one.exists() for one in targets)
    assert {one.resolve() for one in targets} == {
        *(root.resolve() for root in results.iterdir() if root != newest),
        (reports / newest.name / "report.html").resolve(),
    }
    assert sum(one.attributes["class"] == "environment" for one in marks) == 2
    assert "environment changed: kernel.a: " in next(
        one.attributes["aria-label"] for one in marks if one.attributes["class"] == "environment"
    )
    assert not any(one.attributes.keys() & {"src", "srcset", "data"} for one in page.everything())
    assert "http" not in "".join(one.attributes.get("href", "") for one in page.everything())
    assert "PLAYED, not measured" in page.text
    table = page.by_id("nights").all("table")[0]
    assert len(table.all("tr")) == 31


def test_the_feed_has_an_entry_for_each_change_and_the_same_bytes_each_time(
    results: Path, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        told(results, "--out", tmp_path / place)
    for name in ("index.html", "feed.atom"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    feed = ElementTree.fromstring((tmp_path / "one" / "feed.atom").read_bytes())
    entries = feed.findall(f"{ATOM}entry")
    titles = [one.findtext(f"{ATOM}title") or "" for one in entries]
    assert len(entries) == 2
    assert any(one.startswith("total_time of idle: +") and one.endswith("(worse)") for one in titles)
    assert any(one == "The environment changed on 2026-01-21" for one in titles)
    assert len({one.findtext(f"{ATOM}id") for one in entries}) == 2
    for one in (feed, *entries):
        assert all(one.findtext(f"{ATOM}{name}") for name in ("id", "title", "updated"))


def test_runs_that_cannot_take_part_are_named(run: RunFolder, tmp_path: Path) -> None:
    place = tmp_path / "small"
    copies = [night(run, place, day) for day in range(5)]
    (copies[0].root / seal.EVIDENCE_SUMS).unlink()
    write_json(copies[1].manifest, {**read_json(copies[1].manifest), "accelerator": "kvm"})
    copies[2].manifest.unlink()
    copies[2].manifest.write_text("{}")
    text, error = told(place, "--out", tmp_path / "page")
    assert error is None, error
    assert "small: 2 nights" in text
    said = {line.split(": ")[1]: line for line in text.splitlines() if line.startswith("left out: ")}
    assert set(said) == {one.root.name for one in copies[:3]}
    assert "has not finished" in said[copies[0].root.name]
    assert "manifest.json" in said[copies[1].root.name]
    page = html((tmp_path / "page" / "index.html").read_text())
    assert copies[1].root.name in page.by_id("nights").text


def refused(kind: type[SodbenchError], *words: object) -> SodbenchError:
    _, error = told(*words)
    assert isinstance(error, kind), error
    return error


def test_what_is_no_folder_of_one_campaign_is_refused(run: RunFolder, tmp_path: Path) -> None:
    assert refused(RecordError, tmp_path / "nowhere").exit_code == 12
    assert "this is one run" in refused(UsageError, run.root).what
    small = night(run, tmp_path / "results" / "small", 0)
    other = night(run, tmp_path / "results" / "other", 1)
    write_json(other.manifest, {**read_json(other.manifest), "campaign": "other"})
    (other.root / seal.EVIDENCE_SUMS).unlink()
    seal.close(other)
    error = refused(UsageError, tmp_path / "results")
    assert "several campaigns" in error.what and "other, small" in error.why
    error = refused(UsageError, tmp_path / "results" / "small", "--out", small.root / "page")
    assert "inside a run's folder" in error.what


def test_one_night_makes_a_page(run: RunFolder, tmp_path: Path) -> None:
    night(run, tmp_path / "small", 0)
    text, error = told(tmp_path / "small", "--out", tmp_path / "page")
    assert error is None, error
    assert "No change of a level is shown." in text


def test_a_campaign_that_declares_nothing_shows_the_metrics_of_a_comparison(tmp_path: Path) -> None:
    plain = made(tmp_path / "plain", PLAIN)
    text, _ = told(plain.root.parent, "--json")
    names = {one["metric"] for one in json.loads(text)["series"]}
    assert names == {"total_time", "blackout", "outage_network", "data_sent"}
    text, _ = told(plain.root.parent, "--json", "--metric", "start_lateness")
    assert {one["metric"] for one in json.loads(text)["series"]} == {"start_lateness"}
    assert "gate" in TEXT


@pytest.mark.long
def test_a_year_of_nights_takes_ten_seconds(run: RunFolder, tmp_path: Path) -> None:
    draw = random.Random(7)
    for day in range(365):
        night(run, tmp_path / "small", day, draw.gauss(1.0, 0.02))
    begin_s = time.process_time()
    _, error = told(tmp_path / "small", "--out", tmp_path / "page")
    assert error is None and time.process_time() - begin_s < 10
