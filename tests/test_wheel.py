"""The installed tool, outside a clone: a wheel must carry playbooks, campaigns, templates and tables."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, unpacked as an installer would, away from the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline"]
    done = subprocess.run(
        [*build, "--out-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def run(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The unpacked tool with the dependencies of this environment, in a folder that is no clone."""
    program = "import sys; from harness.cli import main; sys.argv[0] = 'sodbench'; main()"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_the_wheels_code_that_runs(installed: Path, tmp_path: Path) -> None:
    program = "from harness import resources; print(resources.playbooks())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(installed / "harness/_data/playbooks")


def test_a_ready_made_campaign_is_found_by_name(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "plan", "demo")
    assert done.returncode == 0, done.stderr
    assert "10 migrations" in done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "playbooks/provision.yml",
        "playbooks/roles/guest_image/tasks/main.yml",
        "playbooks/inventories/pair.example.yml",
        "playbooks/ansible.cfg",
        "campaigns/paper.yml",
        "reports/templates/report.html.j2",
        "reports/claims/security-on-demand.yml",
        "results/reference/table5_migration.csv",
    ],
)
def test_the_data_is_there_byte_for_byte(installed: Path, name: str) -> None:
    assert (installed / "harness/_data" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_programs_that_are_sent_to_machines_are_there(installed: Path) -> None:
    for name in ("heartbeat_probe", "wire_probe", "sampler_probe", "clocks_probe"):
        assert (installed / "harness/evidence/observers" / f"{name}.py").is_file()
    assert (installed / "harness/rig/lock_holder.py").is_file()
    assert (installed / "harness/pvi/wipe_probe.py").is_file()


def test_a_shipped_policy_is_found_by_name(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "attest", "policy", "lab")
    assert done.returncode == 0, done.stderr
    assert "lab" in done.stdout


def test_the_registrys_migrations_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    registry = ("--registry", f"sqlite:///{tmp_path}/registry.sqlite")
    done = run(
        installed, tmp_path, "policy", "request", "web-1", "--option", "1", "--why", "a test", *registry
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "registry.sqlite").is_file()
