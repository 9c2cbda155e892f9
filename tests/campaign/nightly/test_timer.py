"""What starts a night: units and a line for cron that name any file; and what is refused of a file."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from harness.campaign.nightly import timer
from harness.campaign.nightly.file import Nightly, NightlyError, load
from harness.cli.nightly.install import Machine, install
from harness.errors import CampaignError, PrerequisiteError, UsageError

ODD = Path("/srv/50 % off/$HOME \"a'b\\c.yml")
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")" && echo "$@" >> said
[ ! -e fails ] || { echo no >&2; exit 1; }
"""


def asked(folder: Path, text: str = "campaign: demo\npublish: public\n") -> Nightly:
    file = folder / "night.yml"
    file.write_text(text)
    return load(file)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "running").mkdir()
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    return Machine(
        running=tmp_path / "running",
        units=tmp_path / "units",
        systemctl=str(program),
        program=("/opt/sodbench/bin/sodbench",),
    )


@pytest.mark.parametrize("text", ["2:00", "24:00", "02:60", "02:00:00", "noon", "", "02:00\n"])
def test_what_is_no_time_of_day(text: str, machine: Machine, tmp_path: Path) -> None:
    assert timer.time_of_day(text) is None
    with pytest.raises(UsageError) as caught:
        install(asked(tmp_path), text, machine)
    assert caught.value.exit_code == 2 and not machine.units.exists()


def test_units_are_written_and_the_timer_is_started(machine: Machine, tmp_path: Path) -> None:
    night = asked(tmp_path)
    install(night, "02:30", machine)
    service = (machine.units / "sodbench-nightly-night.service").read_text()
    assert f'ExecStart="/opt/sodbench/bin/sodbench" "nightly" "run" "{night.file}"\n' in service
    assert f"WorkingDirectory={tmp_path}\n" in service and "KillMode=mixed\n" in service
    timed = (machine.units / "sodbench-nightly-night.timer").read_text()
    assert "OnCalendar=*-*-* 02:30:00\n" in timed and "Persistent=true\n" in timed
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["daemon-reload", "enable --now sodbench-nightly-night.timer"]


def test_without_systemd_nothing_is_written_and_the_line_for_cron_is_said(
    machine: Machine, tmp_path: Path
) -> None:
    machine.running.rmdir()
    night = asked(tmp_path)
    with pytest.raises(PrerequisiteError) as caught:
        install(night, "02:30", machine)
    assert caught.value.exit_code == 4
    line = caught.value.remedy.splitlines()[-1]
    assert line.startswith("30 2 * * * cd ") and line.endswith(f"nightly run {night.file}")
    assert not machine.units.exists()


def test_what_systemd_refuses_is_said(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    with pytest.raises(PrerequisiteError) as caught:
        install(asked(tmp_path), "02:30", machine)
    assert "daemon-reload" in caught.value.what and caught.value.why == "no"


def test_units_and_cron_name_the_file_whatever_is_in_its_path() -> None:
    service = timer.service(["/bin/sodbench"], ODD, "root")
    line = next(one for one in service.splitlines() if one.startswith("ExecStart="))
    assert line.endswith('"/srv/50 %% off/$$HOME \\"a\'b\\\\c.yml"')
    command = timer.cron(["/bin/sodbench"], ODD, (2, 0)).removeprefix("0 2 * * * ").replace(r"\%", "%")
    assert shlex.split(command)[-1] == str(ODD)
    assert timer.unit_name(ODD) == "sodbench-nightly-_HOME__a_b_c"
    assert not timer.is_plain(Path("/srv/a\nb.yml"))


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    file = tmp_path / "50 % of $HOME.yml"
    name = timer.unit_name(file)
    (tmp_path / f"{name}.service").write_text(timer.service(["/bin/true"], file, "root"))
    (tmp_path / f"{name}.timer").write_text(timer.timer(file, (2, 0)))
    for kind in ("service", "timer"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / f"{name}.{kind}")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert name not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("campaign: demo\n", 1, "publish"),
        ("campaign: demo\npublish: p\nkeep: 0\n", 3, "keep"),
        ("campaign: demo\npublish: p\nwait_s: -1\n", 3, "wait_s"),
        ("campaign: demo\npublish: p\nrig: real\n", 3, "played"),
        ("campaign: demo\npublish: p\nrig: played\ntune: true\n", 4, "no hosts to tune"),
        ("campaign: demo\npublish: p\nrig: played\ninventory: i\n", 4, "has no inventory"),
        ("campaign: demo\npublish: p\nscript: s.yml\n", 3, "add `rig: played`"),
        ("campaign: demo\npublish: p\nknown_bad: k.yml\n", 3, "none without a baseline"),
        ("campaign: demo\npublsh: p\n", 2, "publish"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(NightlyError) as caught:
        asked(tmp_path, text)
    assert caught.value.exit_code == 3
    assert f"night.yml:{line}" in str(caught.value) and said in str(caught.value)


def test_paths_are_relative_to_the_file_and_a_campaign_may_be_ready_made(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("x")
    found = asked(tmp_path, "campaign: mine.yml\npublish: /srv/p\nbaseline: ../b\n")
    assert (found.campaign, found.publish) == (tmp_path / "mine.yml", Path("/srv/p"))
    assert found.baseline == tmp_path / "../b" and found.results == tmp_path / "results"
    assert asked(tmp_path, "campaign: nightly\npublish: p\n").campaign.name == "nightly.yml"
    with pytest.raises(CampaignError):
        asked(tmp_path, "campaign: ./nightly\npublish: p\n")
