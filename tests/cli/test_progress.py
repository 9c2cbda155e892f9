"""What the terminal says of a run while it goes on."""

from __future__ import annotations

import pytest

from harness.campaign.plan import expand
from harness.cli.progress import RunProgress
from harness.cli.terminal import Output
from harness.evidence.journal import Event
from tests.synthetic.campaigns import campaign


def test_an_invalid_trial_is_said_by_its_cause_and_the_rest_on_lines_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = expand(campaign(""))
    reasons = ["Faban ended with status 1", "Faban said last: bye", "the test of steadiness: level"]
    told = RunProgress(Output(), plan, total_s=10, finished=0)
    data = {"verdict": "invalid", "reasons": list(reasons)}
    ended, trial = "attempt.finished", plan.trials[0].id
    told.on_event(Event(seq=0, t_ns=1, observer="runner", kind=ended, trial=trial, attempt=1, data=data))
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.endswith("invalid: Faban ended with status 1")
    assert [line.strip() for line in rest] == reasons[1:]
    assert all(line.startswith("   ") for line in rest)
