"""What is left of several campaigns: run, resume or keep, by the runs that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign import todo
from harness.campaign.plan import Plan
from harness.errors import InterruptedRunError
from tests.played import campaigns
from tests.played.campaigns import SMALL


@pytest.fixture
def wanted() -> dict[str, Plan]:
    return {"small": campaigns.plan_of(SMALL)}


def actions(
    root: Path, wanted: dict[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, str | None]]:
    monkeypatch.setattr("harness.campaign.todo.played.is_played", lambda _run: False)
    found = todo.steps(root, wanted)
    return [(one.action, None if one.folder is None else one.folder.name) for one in found]


def test_a_campaign_without_a_run_is_to_be_run(
    tmp_path: Path, wanted: dict[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actions(tmp_path, wanted, monkeypatch) == [("run", None)]


def test_a_run_that_was_cut_is_resumed_and_then_kept(
    tmp_path: Path, wanted: dict[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = campaigns.begin(tmp_path)
    assert actions(tmp_path, wanted, monkeypatch) == [("resume", run.root.name)]

    def cut(event: object) -> None:
        if getattr(event, "kind", "") == "migration.returned":
            raise InterruptedRunError("interrupted")

    monkeypatch.undo()
    with pytest.raises(InterruptedRunError):
        campaigns.carry_out(run, listener=cut)
    assert actions(tmp_path, wanted, monkeypatch) == [("resume", run.root.name)]
    monkeypatch.undo()
    assert campaigns.carry_out(run) is not None
    assert actions(tmp_path, wanted, monkeypatch) == [("keep", run.root.name)]


def test_a_run_of_another_plan_or_a_played_one_does_not_count(
    tmp_path: Path, wanted: dict[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns.begin(tmp_path)
    assert [one.action for one in todo.steps(tmp_path, wanted)] == ["run"]
    other = {"small": campaigns.plan_of(SMALL.replace("window_s: 8", "window_s: 9"))}
    assert actions(tmp_path, other, monkeypatch) == [("run", None)]
