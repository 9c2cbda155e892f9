"""From the timer to the page: a Debian that boots systemd, with the controller installed from the wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup import containers

pytestmark = pytest.mark.lab

_LIMIT_S = 5400.0

NIGHT = "campaign: nightly\nrig: played\nresults: /srv/results\npublish: /srv/public\n"
INSTALL = """\
python3 -m venv /opt/sodbench; cd /opt/sodbench/bin
./python -m pip install --quiet "$(sed -n 's/^\\(uv==[^ ]*\\).*/\\1/p' /opt/requirements.lock)"
./uv pip install --quiet --python ./python --require-hashes --requirement /opt/requirements.lock
./uv pip install --quiet --python ./python --no-deps /opt/*.whl
./sodbench nightly install /etc/night.yml && exit 1 || [ $? = 4 ]
"""
"""Nothing boots while packages are installed: there, the timer is refused."""
TEST_SERVICE = """\
[Unit]
Description=Waits for a night
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/wait.sh
[Install]
WantedBy=multi-user.target
"""
WAIT = """\
exec > /srv/said 2>&1
set -x
/opt/sodbench/bin/sodbench nightly install /etc/night.yml --at "$(date --date='+4 minutes' +%H:%M)"
for _ in $(seq 3600); do
    state=$(systemctl show --property=ActiveState --value sodbench-nightly-night.service)
    [ -e /srv/public/index.html ] && [ "$state" = inactive ] && break
    [ "$state" = failed ] && break
    sleep 1
done
systemctl show --property=Result,ExecMainStatus sodbench-nightly-night.service
systemctl list-timers --no-pager --all sodbench-nightly-night.timer
journalctl --no-pager --unit sodbench-nightly-night.service
systemctl --no-block poweroff
"""


def wheel(folder: Path) -> Path:
    build = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline"]
    subprocess.run([*build, "--out-dir", str(folder), str(containers.ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_a_timer_starts_a_night_whose_page_is_there_in_the_end(tmp_path: Path) -> None:
    system = containers.system("bookworm")
    with containers.scratch() as folder:
        upper = folder / "upper"
        for place in ("opt", "etc/systemd/system/multi-user.target.wants", "srv"):
            (upper / place).mkdir(parents=True)
        shutil.copy(wheel(tmp_path), upper / "opt")
        shutil.copy(containers.ROOT / "requirements.lock", upper / "opt")
        (upper / "opt/wait.sh").write_text(WAIT)
        (upper / "etc/night.yml").write_text(NIGHT)
        installed = system.run(INSTALL, upper=upper, timeout_s=_LIMIT_S)
        assert installed.status == 0, installed.output[-4000:]
        assert " * * * cd /etc && /opt/sodbench/bin/sodbench nightly run /etc/night.yml" in installed.output
        units = upper / "etc/systemd/system"
        (units / "wait.service").write_text(TEST_SERVICE)
        (units / "multi-user.target.wants/wait.service").symlink_to("/etc/systemd/system/wait.service")
        booted = system.boot(upper=upper, timeout_s=_LIMIT_S)
        said = (upper / "srv/said").read_text() if (upper / "srv/said").exists() else booted.output
        assert "Result=success" in said, said[-4000:]
        (record,) = (json.loads(one.read_text()) for one in (upper / "srv/public/nights").glob("*.json"))
        assert record["exit_code"] == 0, said[-4000:]
        assert "PLAYED, not measured" in (upper / "srv/public/index.html").read_text()
        assert (upper / "srv/public" / Path(record["run"]).name / "report.html").is_file()
