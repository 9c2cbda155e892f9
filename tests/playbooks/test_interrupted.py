"""Provisioning that was cut short, or lost a machine: what the next run mends, and what goes no further."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.playbooks import local_plays
from tests.playbooks.test_lint import load
from tests.skips import as_root

pytestmark = pytest.mark.programs

PROVISION = local_plays.PLAYBOOKS / "provision.yml"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
NOWHERE = {
    "ansible_host": "127.0.0.1",
    "ansible_port": 1,
    "ansible_ssh_common_args": "-F none -o ConnectTimeout=5",
}


def stubbed(folder: Path, **tasks: list[dict[str, Any]]) -> Path:
    """provision.yml with roles that note machine and name, and do what `tasks` says for theirs."""
    playbook = folder / "provision.yml"
    shutil.copy(PROVISION, playbook)
    names = [
        one["role"] if isinstance(one, dict) else one for play in load(PROVISION) for one in play["roles"]
    ]
    for name in names:
        main = folder / "roles" / name / "tasks/main.yml"
        main.parent.mkdir(parents=True, exist_ok=True)
        note = {
            "ansible.builtin.shell": f"echo {{{{ inventory_hostname }}}} {name} >> {folder}/log",
            "delegate_to": "localhost",
        }
        YAML().dump([note, *tasks.get(name, [])], main)
    return playbook


def inventory(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    groups = {"hosts": {"hosts": {"a": a, "b": b}}, "clients": {"hosts": {"client": HERE}}}
    return {"all": {"children": {**groups, "builder": {"hosts": {"a": None}}}}}


def done_by(folder: Path, machine: str) -> list[str]:
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [line.split()[1] for line in lines if line.split()[0] == machine]


def test_the_client_is_configured_once_both_hosts_are(tmp_path: Path) -> None:
    done = local_plays.run(stubbed(tmp_path), inventory(HERE, HERE))
    assert done.returncode == 0, done.stdout
    assert "locust" in done_by(tmp_path, "client")


@pytest.mark.parametrize("how", ["unreachable", "failed"])
def test_the_clients_play_does_not_run_on_after_a_host_was_lost(how: str, tmp_path: Path) -> None:
    lose: dict[str, list[dict[str, Any]]] = {
        "unreachable": [
            {
                "ansible.builtin.set_fact": {
                    "ansible_connection": "ssh",
                    **NOWHERE,
                },
                "when": "inventory_hostname == 'b'",
            },
            {"ansible.builtin.ping": {}},
        ],
        "failed": [{"ansible.builtin.fail": {"msg": "made up"}, "when": "inventory_hostname == 'b'"}],
    }
    done = local_plays.run(stubbed(tmp_path, wire=lose[how]), inventory(HERE, HERE))
    assert done.returncode != 0, done.stdout
    assert ("unreachable=1" in done.stdout) == (how == "unreachable"), done.stdout
    assert "wire" in done_by(tmp_path, "b")
    assert done_by(tmp_path, "client") == ["packages"], done.stdout


CHRONYC = """\
#!/bin/sh
case "$*" in
*reload*) sed -n 's/^server \\([^ ]*\\).*/^,?,\\1,0,6,0,0,0.0,0.0,0.0/p' {file} >{state} 2>/dev/null ;;
*sources*) cat {state} ;;
esac
exit 0
"""
SYSTEMCTL = """\
#!/bin/sh
case "$1" in
show) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\n' ;;
is-enabled) echo enabled ;;
is-active) echo active ;;
esac
exit 0
"""


@as_root
def test_chrony_reads_the_source_that_an_interrupted_run_wrote(tmp_path: Path) -> None:
    programs, file, state = tmp_path / "programs", tmp_path / "sodbench.sources", tmp_path / "loaded"
    programs.mkdir()
    for name, text in (("chronyc", CHRONYC.format(file=file, state=state)), ("systemctl", SYSTEMCTL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    file.write_text(
        "server 192.0.2.1 iburst\n"
    )  # as the role writes it; the run was cut before chrony was told
    file.chmod(0o644)
    state.write_text("")
    variables: dict[str, Any] = {"time_in_container": False, "sodbench_time_servers": ["192.0.2.1"]}
    variables["time_sources_file"] = str(file)

    def provision() -> int:
        done = local_plays.local(tmp_path, [local_plays.role("time")], variables, path=programs)
        assert done.returncode == 0, done.stdout
        return local_plays.changed(done)

    assert provision() > 0
    assert "192.0.2.1" in state.read_text()
    assert provision() == 0

    variables["sodbench_time_servers"] = []  # and a server that is no longer named is forgotten
    assert provision() > 0
    assert not file.exists()
    assert state.read_text() == ""


@pytest.mark.parametrize(
    ("role", "tasks", "unit", "files"),
    [
        ("kvm_host", "main", "libvirtd.service", ["/etc/libvirt/qemu.conf"]),
        ("wire", "main", "sodbench-wire.service", ["/etc/sodbench/wire.nft"]),
        (
            "tpm",
            "software",
            "sodbench-swtpm.service",
            ["/etc/systemd/system/sodbench-swtpm.service", "/opt/sodbench/tpm/sodbench_measure.py"],
        ),
    ],
)
def test_a_unit_that_started_before_its_file_was_written_is_started_again(
    role: str, tasks: str, unit: str, files: list[str], tmp_path: Path
) -> None:
    """The role asks the machine, not only what it changed itself; file and systemctl are made up here."""
    (task,) = (
        task
        for task in load(local_plays.PLAYBOOKS / f"roles/{role}/tasks/{tasks}.yml")
        if unit in (task.get("ansible.builtin.command") or {}).get("argv", [])
    )
    text = json.dumps(task)
    assert all(file in text for file in files)
    assert task["notify"]
    written = tmp_path / "file"
    written.write_text("")
    (tmp_path / "programs").mkdir()
    systemctl = tmp_path / "programs/systemctl"
    # Of what the software TPM measures at its start, this machine has nothing.
    nothing_measured: dict[str, object] = {"tpm_measured_pcrs": {}}
    for real, made_up in {**dict.fromkeys(files, str(written)), unit: "made-up.service"}.items():
        text = text.replace(real, made_up)
    asked = json.loads(text)
    asked.pop("notify")

    def says_stale(entered: str) -> bool:
        systemctl.write_text(f"#!/bin/sh\ncase $1 in show) echo '{entered}' ;; esac\n")
        systemctl.chmod(0o755)
        done = local_plays.local(tmp_path, [asked], nothing_measured, path=tmp_path / "programs")
        assert done.returncode == 0, done.stdout
        return local_plays.changed(done) == 1

    assert says_stale("Mon 2001-01-01 00:00:00.000000 UTC")
    assert not says_stale("Tue 2199-01-01 00:00:00.000000 UTC")
