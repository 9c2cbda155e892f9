"""A campaign on a played rig, from its file to its report; nothing of it passes for a measurement."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness import report
from harness.campaign.run import runner
from harness.cli import rigs
from harness.cli.run import run as run_command
from harness.cli.status import status as status_command
from harness.errors import InputFileError, InterruptedRunError, PrerequisiteError, RecordError, UsageError
from harness.evidence import archive, journal, played, seal
from harness.evidence.folder import RunFolder, find
from harness.interrupt import Interrupt
from harness.rig.played import script as scripts
from tests import reference, tables
from tests.played import campaigns
from tests.report import unpainted

GUIDE = Path(__file__).parents[2] / "docs/played.md"
MARK = "PLAYED, not measured"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = campaigns.begin(tmp_path_factory.mktemp("run"))
    assert campaigns.carry_out(run) is not None
    return run


def values(run: RunFolder, metric: str) -> list[float]:
    table = tables.read(run)
    return [float(one) for one in table[table["metric"].eq(metric)]["value"]]


def test_what_is_computed_of_it_is_what_was_played(run: RunFolder) -> None:
    assert values(run, "blackout") == pytest.approx([0.1] * 4)
    assert values(run, "total_time") == pytest.approx([0.7] * 4)
    assert values(run, "downtime_libvirt") == pytest.approx([0.1] * 4)
    assert values(run, "completed_migrations") == [2.0, 2.0]
    assert values(run, "outage_network") == pytest.approx([0.2] * 4, abs=0.11)
    assert values(run, "data_sent") == [220_000_000.0] * 4


def test_the_same_campaign_has_the_same_figures_and_stamps(run: RunFolder, tmp_path: Path) -> None:
    again = campaigns.begin(tmp_path)
    campaigns.carry_out(again)
    assert campaigns.figures(again).equals(campaigns.figures(run))
    stamps = [
        [(one.kind, one.t_ns) for one in journal.read(of.journal) if one.observer == "runner"]
        for of in (run, again)
    ]
    assert stamps[0] == stamps[1]


def test_every_page_of_its_report_says_that_it_was_played(run: RunFolder, tmp_path: Path) -> None:
    with unpainted.figures():
        made = report.build(run, tmp_path / "report")
    html, markdown, latex = (path.read_text() for path in made.documents)
    assert html.count(MARK) >= html.count("<section")
    assert html.count("<section") > 5
    headings = re.findall(r"^## ", markdown, re.MULTILINE)
    assert markdown.count(MARK) >= len(headings) > 4
    assert latex.count(MARK) >= 1
    assert "measured: small" not in html + markdown + latex
    assert "--rig played" in markdown


def test_manifest_journal_and_metrics_say_so(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run.manifest.read_text())["played"] is True
    assert journal.read(run.journal)[0].data["played"] is True
    assert set(tables.read(run)["rig"]) == {"played"}
    status_command(run.root)
    assert MARK in capsys.readouterr().out


def test_it_is_never_packed_nor_taken_for_reference_data(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="played run is not kept"):
        archive.pack(run, tmp_path / "archive")
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("kept", ["manifest", "journal"])
def test_either_mark_alone_is_enough(run: RunFolder, tmp_path: Path, kept: str) -> None:
    """As by a person who takes one of them away and makes new sums."""
    copy = RunFolder(tmp_path / "copy")
    for path in (run.manifest, run.journal, run.plan, run.campaign):
        place = copy.root / path.relative_to(run.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    if kept == "journal":
        manifest = json.loads(copy.manifest.read_text())
        del manifest["played"]
        copy.manifest.write_text(json.dumps({**manifest, "rig": "lab"}))
    else:
        copy.journal.write_text(copy.journal.read_text().replace(',"played":true', ""))
    seal.close(copy)
    with pytest.raises(RecordError, match="played run is not kept"):
        archive.pack(copy, tmp_path / "archive")


def test_no_data_set_of_the_project_was_played() -> None:
    for kept in reference.DATA.iterdir():
        manifest = json.loads((kept / "run/manifest.json").read_text())
        assert not played.by_manifest(manifest), kept


def test_it_goes_on_played_and_nothing_else_does(run: RunFolder, tmp_path: Path) -> None:
    measured = campaigns.begin(tmp_path)
    manifest = json.loads(measured.manifest.read_text())
    del manifest["played"]
    measured.manifest.write_text(json.dumps({**manifest, "rig": "lab"}))
    with pytest.raises(PrerequisiteError, match="goes on played"):
        campaigns.carry_out(measured)
    assert not measured.journal.exists()


def test_the_command_line_plays_a_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yml").write_text(campaigns.SMALL)
    (tmp_path / "brief.yml").write_text(campaigns.BRIEF)
    campaign, script = str(tmp_path / "small.yml"), tmp_path / "brief.yml"
    run_command(campaign, results=tmp_path / "results", rig="played", script=script)
    assert MARK in capsys.readouterr().out
    made = find(tmp_path / "results")
    assert made.script.read_text() == campaigns.BRIEF
    assert json.loads(made.manifest.read_text())["inventory"] is None


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"rig": "lab"}, "no such rig"),
        ({"rig": "played", "inventory": Path("x.yml")}, "no inventory"),
        ({"script": Path("x.yml")}, "this rig is not"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_command("demo", **options)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("workloads: [web]", "the workload web"),
        ("attest: {}\nrespond: {scenarios: [violation]}", "responses to them are not played"),
    ],
)
def test_a_campaign_that_cannot_be_played_is_refused(tmp_path: Path, change: str, why: str) -> None:
    kept = [line for line in campaigns.SMALL.splitlines() if line.split(":")[0] != change.split(":")[0]]
    with pytest.raises(PrerequisiteError, match="cannot carry") as refused:
        campaigns.begin(tmp_path, "\n".join([*kept, change, ""]))
    assert why in refused.value.why
    assert not (tmp_path / "small").exists()


def test_the_guides_script_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "script.yml").write_text(text)
    found = scripts.load(tmp_path / "script.yml")
    kinds = {"fail", "die", "hang", "silent", "measure", "registry_gone"}
    assert found.model_dump(exclude=kinds) == scripts.Script().model_dump(exclude=kinds)
    assert [len(getattr(found, kind)) for kind in kinds] == [1] * len(kinds)


def test_a_script_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "script.yml").write_text("boot_s: 1.0\ndie:\n  - {host: c, after_s: 1}\n")
    with pytest.raises(InputFileError) as refused:
        scripts.load(tmp_path / "script.yml")
    assert "script.yml:3" in str(refused.value)


def test_an_interrupt_ends_it_as_any_run(tmp_path: Path) -> None:
    run, interrupt = campaigns.begin(tmp_path), Interrupt()
    rig, clock, _ = rigs.played(campaigns.plan_of(campaigns.SMALL), None, run)

    def stop(event: journal.Event) -> None:
        if event.kind == "window.opened":
            interrupt.ask()

    with pytest.raises(InterruptedRunError):
        runner.carry_out(run, rig, clock, interrupt, listener=stop)
    assert campaigns.carry_out(run) is not None
