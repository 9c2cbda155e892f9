"""`sodbench status` says of a trial that is not valid its cause, and the rest on lines of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from typer.testing import CliRunner

from harness.campaign.plan import expand
from harness.cli import app
from harness.evidence.folder import RunFolder
from harness.evidence.journal import Event
from harness.files import write_json
from harness.json_types import Json
from tests.synthetic.campaigns import campaign
from tests.synthetic.vocabulary import whole


def test_the_cause_is_in_the_table_and_the_rest_on_lines_of_its_own(tmp_path: Path) -> None:
    reasons = ["Faban ended with status 1", "Faban said last: bye", "the test of steadiness: level"]
    plan, run = expand(campaign("")), RunFolder(tmp_path)
    ended: dict[str, Json] = {"verdict": "invalid", "reasons": list(reasons)}
    told: list[tuple[str, dict[str, Json]]] = [
        ("run.started", {"plan_hash": plan.hash}),
        ("attempt.started", {}),
        ("attempt.finished", ended),
    ]
    events = [
        Event(
            seq=seq,
            t_ns=seq,
            observer="runner",
            kind=kind,
            trial=plan.trials[0].id if seq else None,
            attempt=1 if seq else None,
            data=whole(kind, data),
        )
        for seq, (kind, data) in enumerate(told)
    ]
    write_json(run.manifest, {"schema": 1})
    write_json(run.plan, plan.to_json())
    run.journal.write_text("".join(json.dumps(asdict(event)) + "\n" for event in events))
    result = CliRunner().invoke(app, ["status", str(run.root)])
    assert result.exit_code == 0, (result.output, result.exception)
    lines = [line.strip() for line in result.output.splitlines()]
    (row,) = [line for line in lines if reasons[0] in line]
    assert row.endswith(reasons[0])
    assert set(reasons[1:]) <= set(lines)
