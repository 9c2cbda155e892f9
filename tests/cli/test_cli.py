from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from harness import __version__, cli, errors
from harness.campaign.plan import Plan, expand
from harness.cli import lazy
from harness.files import write_json
from harness.registry import places
from harness.response import policy_file
from harness.rig.doctor import facts as doctor_facts
from harness.rig.doctor.checks import Facts
from tests.cli.command import Said, Sodbench
from tests.rig.test_doctor import FIT, UP
from tests.synthetic.campaigns import MINIMAL, campaign
from tests.synthetic.evidence import build

VERBS = [
    *("doctor", "lab", "provision", "attest"),
    *("policy", "guest", "watch", "respond", "pvi", "audit"),
    *("plan", "run", "nightly", "resume", "status", "report", "compare", "trend", "schema"),
]


# -- help, version, completion


def test_help_names_every_verb_and_every_exit_code(sodbench: Sodbench) -> None:
    said = sodbench("--help")
    assert said.code == 0
    assert all(verb in said.out for verb in VERBS)
    words = said.out.replace(",", " ").split()
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert all(str(one.exit_code) in words for one in classes if issubclass(one, errors.SodbenchError))


@pytest.mark.parametrize(
    "words", [[verb] for verb in VERBS] + [["lab", one] for one in ("up", "down", "ssh")]
)
def test_every_verb_explains_itself(sodbench: Sodbench, words: list[str]) -> None:
    said = sodbench(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"sodbench {' '.join(words)}" in said.out
    assert len(said.out) > 300


def test_the_version_is_said(sodbench: Sodbench) -> None:
    assert sodbench("--version") == Said(0, f"sodbench {__version__}\n", "")


def test_help_imports_no_verb() -> None:
    """And so takes at most 0.3 s: the processor's time is taken, for the machine has other work as well."""
    code = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
    code += "sys.argv = ['sodbench', '--help']; from harness.cli import main; main()"
    spent_s = []
    for _ in range(3):
        before = os.times()
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = os.times()
        spent_s.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    loaded = set(said.stderr.split())
    assert {one for one in loaded if one.startswith("harness")} == {
        *("harness", "harness.errors", "harness.cli", "harness.cli.lazy", "harness.cli.streams")
    }
    assert not {"rich.console", "libvirt", "pandas", "pydantic"} & loaded
    assert min(spent_s) < 0.3


def verbs_of(group: lazy.Verbs, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], lazy.Lazy]]:
    for name, one in group.commands.items():
        assert isinstance(one, lazy.Lazy)
        yield (*path, name), one
        below = one.verb.command()
        if isinstance(below, lazy.Verbs):
            yield from verbs_of(below, (*path, name))


def test_a_group_says_of_each_verb_what_the_verb_says_of_itself() -> None:
    app = get_command(cli.app)
    assert isinstance(app, lazy.Verbs)
    found = dict(verbs_of(app))
    assert len(found) > 30
    for path, one in found.items():
        itself = one.verb.command()
        assert (itself.help or "").split("\n\n")[0] == one.help, path


def test_a_verb_of_a_group_completes_its_options() -> None:
    said = subprocess.run(
        [Path(sys.executable).with_name("sodbench")],
        env={
            **os.environ,
            "_SODBENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": "sodbench attest monitor --inter",
            "COMP_CWORD": "3",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["--interval"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_completion_script(shell: str) -> None:
    # A process of its own: inside pytest the program's name, which is part of the script, is pytest's.
    code = "import sys; sys.argv = ['sodbench']; from harness.cli import main; main()"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_SODBENCH_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_SODBENCH_COMPLETE=complete_{shell}" in said.stdout


# -- wrong usage


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "nonsense"),
        (["plan"], "campaign"),
        (["plan", "demo", "--bogus"], "--bogus"),
        (["report", "x", "--format"], "--format"),
        (["lab", "sideways"], "sideways"),
    ],
)
def test_wrong_usage_is_said_without_a_traceback(sodbench: Sodbench, arguments: list[str], text: str) -> None:
    said = sodbench(*arguments)
    assert said.code == errors.UsageError.exit_code
    assert text in (said.err + said.out).lower()
    assert "Traceback" not in said.err


def test_without_a_verb_there_is_help(sodbench: Sodbench) -> None:
    said = sodbench()
    assert "provision" in said.out + said.err
    assert said.code in (0, errors.UsageError.exit_code)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["plan", "demo", "--accelerator", "xen"], "--accelerator kvm"),
        (["lab", "ssh", "c"], "a, b, client, guest"),
    ],
)
def test_a_wrong_choice_comes_with_the_right_ones(
    sodbench: Sodbench, arguments: list[str], remedy: str
) -> None:
    said = sodbench(*arguments)
    assert said.code == errors.UsageError.exit_code
    assert remedy in said.err


# -- plan and schema


def test_the_demo_is_planned_without_touching_anything(sodbench: Sodbench) -> None:
    said = sodbench("plan", "demo")
    assert said.code == 0
    assert "2 trials, 10 migrations, about" in said.out
    assert "0, 12, 24, 36, 48 s" in said.out
    assert "GB on the shared storage" in said.out


@pytest.mark.parametrize("name", ["./demo.yml", "demo.yml", "campaigns/demo.yml", "./demo", "/demo"])
def test_a_ready_made_campaign_does_not_stand_in_for_a_file_that_is_not_there(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = sodbench("plan", name)
    assert said.code == errors.CampaignError.exit_code
    assert f"{name}: no such campaign" in said.err
    assert "name it without a path for the ready-made one: demo" in said.err


def test_a_file_goes_before_the_ready_made_campaign_of_its_name(
    sodbench: Sodbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text(MINIMAL)
    assert json.loads(sodbench("plan", "demo", "--json").out)["campaign"] == "small"


def test_one_trial_is_not_called_trials(sodbench: Sodbench) -> None:
    assert "\n1 trial, 2 migrations, about" in sodbench("plan", "respond-smoke").out


def test_a_plan_as_json_is_the_plan(sodbench: Sodbench) -> None:
    said = sodbench("plan", "smoke", "--json")
    value = json.loads(said.out)
    assert (said.code, value["campaign"], len(value["trials"])) == (0, "smoke", 2)


def test_a_broken_campaign_is_refused_with_file_and_line(sodbench: Sodbench, tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(
        "name: mine\nrepetition: 3\nworkloads: [idle]\nschedule:\n  window_s: 60\n  points_s: [0]\n"
    )
    said = sodbench("plan", path)
    assert said.code == errors.CampaignError.exit_code
    assert f"{path}:2" in said.err
    assert "did you mean 'repetitions'?" in said.err
    assert said.out == ""


def test_a_campaign_that_is_not_there_is_answered_with_the_ready_made_ones(sodbench: Sodbench) -> None:
    said = sodbench("plan", "dmeo")
    assert said.code == errors.CampaignError.exit_code
    listed = (
        "demo, dirty-rates, evacuate, nightly, options, paper, paper-aged, paper-kits, paper-lab, paper-short"
    )
    assert f"{listed}, paper-smoke, respond" in said.err


@pytest.mark.parametrize("locate", [places.policy_file, policy_file.locate])
def test_a_shipped_policy_does_not_stand_in_for_a_file(
    locate: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UsageError):
        locate("./lab.yml")
    assert locate("lab").is_file()


@pytest.mark.parametrize("verb", ["doctor", "respond", "watch", "attest enrol", "lab ssh"])
def test_help_is_wrapped_to_the_terminal_alone(sodbench: Sodbench, verb: str) -> None:
    """A paragraph of a docstring is one of the page, wherever the source's lines end."""
    lines = [line.strip() for line in sodbench(*verb.split(), "--help").out.splitlines()]
    page = lines[: next(number for number, line in enumerate(lines) if line.startswith("╭"))]
    for line, below in pairwise(page):
        assert not line or not below or len(line) + len(below.split()[0]) > 190


def test_the_schema_is_a_json_schema(sodbench: Sodbench) -> None:
    jsonschema = importlib.import_module("jsonschema")
    said = sodbench("schema")
    value = json.loads(said.out)
    jsonschema.Draft202012Validator.check_schema(value)
    valid = {"name": "x", "workloads": ["idle"], "schedule": {"window_s": 60, "points_s": [0]}}
    check = jsonschema.Draft202012Validator(value)
    assert (said.code, check.is_valid(valid), check.is_valid({**valid, "repetition": 1})) == (0, True, False)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("campaign", "workloads"),
        ("policy", "require"),
        ("reference", "pcrs"),
        ("response", "settle_s"),
        ("capabilities", "architectures"),
    ],
)
def test_every_kind_of_file_has_its_schema(sodbench: Sodbench, kind: str, key: str) -> None:
    said = sodbench("schema", kind)
    value = json.loads(said.out)
    importlib.import_module("jsonschema").Draft202012Validator.check_schema(value)
    assert (said.code, key in value["properties"]) == (0, True)


def test_a_kind_of_file_that_is_none_is_wrong_usage(sodbench: Sodbench) -> None:
    said = sodbench("schema", "polcy")
    assert (said.code, "did you mean 'policy'" in said.err) == (errors.UsageError.exit_code, True)


# -- stored runs


def finished_run(folder: Path) -> Path:
    """The synthetic run, with a plan that sodbench itself made for its trials."""
    run = build(folder / "demo" / "20260101T000000Z-abcdef")
    plans = (expand(campaign(f"seed: {seed}\n")) for seed in range(20))
    plan: Plan = next(one for one in plans if [t.id for t in one.trials] == ["001-idle", "002-file"])
    write_json(run.plan, plan.to_json())
    run.journal.write_text(run.journal.read_text().replace("0" * 64, plan.hash))
    return run.root


def test_status_tells_each_trials_verdict(sodbench: Sodbench, tmp_path: Path) -> None:
    root = finished_run(tmp_path)
    said = sodbench("status", tmp_path)
    rows = [line.split()[:4] for line in said.out.splitlines() if line.strip().startswith("00")]
    assert said.code == 0
    assert said.out.startswith(f"{root}: finished")
    assert rows == [["001-idle", "migrations", "1", "valid"], ["002-file", "migrations", "1", "valid"]]


def test_status_of_a_killed_run_says_what_remains(sodbench: Sodbench, tmp_path: Path) -> None:
    root = finished_run(tmp_path)
    journal = root / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if '"attempt.finished"' in line)
    journal.write_text("".join(lines[: first + 4]) + '{"seq":')
    said = sodbench("status", root)
    assert said.code == 0
    assert "pending" in said.out
    assert f"1 trial left: `sodbench resume {root}` goes on." in said.out


@pytest.mark.usefixtures("without_figures")
def test_a_report_is_made_from_the_stored_run_alone(sodbench: Sodbench, tmp_path: Path) -> None:
    root, out = finished_run(tmp_path), tmp_path / "out"
    said = sodbench("report", root, "--out", out, "--format", "md")
    assert said.code == 0
    assert said.out.splitlines() == [str(out / "report.md")]
    assert (out / "report.md").read_text().strip()


@pytest.mark.parametrize("verb", ["status", "report", "resume"])
def test_where_no_run_is_stored_says_so(sodbench: Sodbench, tmp_path: Path, verb: str) -> None:
    said = sodbench(verb, tmp_path)
    assert said.code == errors.RecordError.exit_code
    assert f"error (record): {tmp_path}: no run here" in said.err


def test_a_damaged_journal_is_named_with_its_line(sodbench: Sodbench, tmp_path: Path) -> None:
    journal = finished_run(tmp_path) / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:2], "rubbish\n", *lines[3:]]))
    said = sodbench("status", tmp_path)
    assert said.code == errors.RecordError.exit_code
    assert f"{journal}:3" in said.err


# -- rigs


@pytest.mark.parametrize("arguments", [["run", "demo"], ["provision"], ["doctor"]])
def test_an_inventory_that_is_not_there_is_a_mistake_of_the_users(
    sodbench: Sodbench, tmp_path: Path, arguments: list[str]
) -> None:
    said = sodbench(*arguments, "--inventory", tmp_path / "none.yml")
    assert said.code == errors.CampaignError.exit_code
    assert f"error (inventory): {tmp_path / 'none.yml'}: no such inventory" in said.err


@pytest.mark.parametrize(("installed", "code"), [(True, 0), (False, errors.PrerequisiteError.exit_code)])
def test_doctor_ends_with_4_when_something_is_missing(
    sodbench: Sodbench, monkeypatch: pytest.MonkeyPatch, installed: bool, code: int
) -> None:
    here = replace(FIT, programs={**FIT.programs, "nft": installed})
    monkeypatch.setattr(doctor_facts, "gather", lambda inventory, **_: Facts(controller=here, lab=UP))
    said = sodbench("doctor")
    assert said.code == code
    assert ("sudo apt-get install nftables" in said.out) == (not installed)
    assert said.out.splitlines()[-1].endswith(f"{int(not installed)} missing.")


def test_doctor_speaks_json(sodbench: Sodbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_facts, "gather", lambda inventory, **_: Facts(controller=FIT, lab=UP))
    said = sodbench("doctor", "--json")
    value = json.loads(said.out)
    assert (said.code, value["nothing_missing"]) == (0, True)
    assert {"name", "level", "found", "why", "remedy"} == set(value["checks"][0])


def test_a_plan_says_that_it_attests(sodbench: Sodbench) -> None:
    assert "attested every 1 s with ecc-p256 and rsa-2048" in sodbench("plan", "attest-smoke").out
