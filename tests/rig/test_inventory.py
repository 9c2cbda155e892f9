"""What an inventory says is what Ansible makes of it, asked through Ansible itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import InputFileError
from harness.rig import inventory as inventories
from harness.rig.pair import Pair, load

pytestmark = pytest.mark.programs

INVENTORY = """\
all:
  vars:
    sodbench_guest_network: {address: 192.0.2.100}
VARIABLES
  children:
    hosts: {hosts: {a: {}, b: {}}}
    clients: {hosts: {client: {}}}
"""


def written(folder: Path, *variables: str) -> Path:
    path = folder / "pair.yml"
    path.write_text(INVENTORY.replace("VARIABLES", "\n".join(f"    {line}" for line in variables)))
    return path


def files(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".yml").write_text(text)


def failure(path: Path) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        load(path)
    return caught.value


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("templates")
    files(
        folder,
        group_vars__all="site: example.net\nansible_port: '{{ 2200 + 22 }}'\n"
        "sodbench_limits: {copy_s: 900}\n",
        group_vars__hosts="ansible_host: '{{ inventory_hostname }}.{{ site }}'\n"
        "sodbench_link_bit_s: '{{ 10 * 1000 * 1000 * 1000 }}'\n",
        host_vars__a="ansible_ssh_host: second.example.net\nansible_user: one\nansible_ssh_user: two\n"
        "ansible_ssh_port: '2200'\n",
        host_vars__b="ansible_user: 1000\nansible_ssh_private_key_file: ~/keys/id\n"
        "ansible_ssh_common_args: -o ProxyJump=bench@{{ site }}:2022 -o ControlPersist=60s\n",
        host_vars__client="ansible_private_key_file: '{{ inventory_dir }}/id'\n"
        "ansible_ssh_extra_args: -o UserKnownHostsFile={{ inventory_dir }}/known -C\n"
        "ansible_user:\nsodbench_bridge:\n",
    )
    return load(written(folder))


def test_templates_of_group_and_host_variables_are_resolved(resolved: Pair) -> None:
    b = resolved.machines["b"]
    assert (b.address, b.port, resolved.link_bit_s) == ("b.example.net", 2222, 10**10)
    assert resolved.migration_address["b"] == "b.example.net"


def test_of_two_names_for_one_thing_that_counts_which_counts_for_ansible(resolved: Pair) -> None:
    a = resolved.machines["a"]
    assert (a.address, a.user, a.port) == ("second.example.net", "two", 2200)


def test_a_number_is_a_login_name_and_a_key_is_found_from_home(resolved: Pair) -> None:
    b = resolved.machines["b"]
    assert (b.user, b.key) == ("1000", Path.home() / "keys/id")


def test_a_jump_host_is_gone_through_by_every_connection(resolved: Pair) -> None:
    options = " ".join(resolved.machines["b"].ssh_options())
    assert "ProxyCommand=ssh " in options
    assert "-l bench -p 2022 -W '[%h]:%p' -- example.net" in options


def test_key_and_host_keys_may_stand_beside_the_inventory(resolved: Pair) -> None:
    client, folder = resolved.machines["client"], resolved.inventory.parent
    assert (client.key, client.known_hosts) == (folder / "id", folder / "known")


def test_limits_are_every_machines(resolved: Pair) -> None:
    assert [one.limits.copy_s for one in resolved.machines.values()] == [900, 900, 900]
    assert resolved.ansible_limit_s == 10


def test_a_variable_that_is_null_is_not_set(resolved: Pair) -> None:
    assert resolved.bridge == "br0"
    assert resolved.machines["client"].user


@pytest.mark.parametrize(
    ("line", "what", "why"),
    [
        ("ansible_user: '{{ nothing }}'", "ansible_user of a cannot be resolved", "'nothing' is"),
        ("ansible_password: open-sesame", "ansible_password of a cannot be carried over", "log in by a key"),
        ("ansible_connection: local", "ansible_connection of a cannot be carried over", "'local'"),
        ("sodbench_storage_path: -rf", "variables of a", "sodbench_storage_path"),
        ("sodbench_limits: {command_s: 0}", "variables of a", "sodbench_limits.command_s"),
        ("sodbench_limits: {command_s: true}", "variables of a", "true is no number"),
        ("sodbench_link_bit_s: yes", "variables of a", "true is no number"),
        ("sodbench_link_bit_s: 0", "variables of a", "sodbench_link_bit_s"),
        ("ansible_user: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      6132", "ansible_user of a", "vault"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(
    tmp_path: Path, line: str, what: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)
    path = written(tmp_path, line)
    error = failure(path)
    assert error.what.startswith(what)
    assert error.where == str(path)
    assert why in error.why
    assert error.remedy
    assert "open-sesame" not in str(error)


def test_a_vaulted_value_is_opened_with_the_vaults_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("of a test\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "password")
    program = Path(sys.executable).with_name("ansible-vault")
    vaulted = subprocess.run(
        [str(program), "encrypt_string", "--name", "ansible_user", "bench"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pair = load(written(tmp_path, *vaulted.splitlines()))
    assert pair.machines["a"].user == "bench"


def program(folder: Path) -> tuple[Path, Path]:
    """An inventory that is a program, and the file that it makes when it runs."""
    path, ran = folder / "inventory.yml", folder / "ran"
    path.write_text(
        f"#!/bin/sh\ntouch {ran}\n"
        'echo \'{"all": {"hosts": ["a", "b", "client"], "vars":'
        ' {"sodbench_guest_network": {"address": "192.0.2.100"}}}}\'\n'
    )
    path.chmod(0o755)
    return path, ran


def test_an_inventory_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    path, ran = program(tmp_path)
    error = failure(path)
    assert "is a program" in error.what
    assert "--run-inventory" in error.remedy
    assert not ran.exists()


def test_an_inventory_that_is_a_program_is_run_where_that_is_asked_for(tmp_path: Path) -> None:
    path, ran = program(tmp_path)
    assert load(path, programs=True).programs
    assert ran.exists()


def test_a_program_in_a_folder_of_inventories_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "rig"
    (folder / "below").mkdir(parents=True)
    written(folder, "ansible_user: bench")
    path, ran = program(tmp_path)
    path.rename(folder / "below" / "hosts")
    failure(folder)
    assert not ran.exists()


def test_an_inventory_that_multiplies_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.rig.inventory.LIMIT_S", 4)
    lines = ["b0: &b0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 10)]
    begin = time.monotonic()
    error = failure(written(tmp_path, *lines, "sodbench_image_extra_packages: *b9"))
    assert time.monotonic() - begin < 40
    assert "within 4 s" in error.what


def test_a_folder_is_an_inventory(tmp_path: Path) -> None:
    folder = tmp_path / "rig"
    folder.mkdir()
    written(folder, "ansible_user: bench")
    (folder / "more.ini").write_text("[all:vars]\nansible_port=2222\n")
    client = load(folder).machines["client"]
    assert (client.user, client.port) == ("bench", 2222)


def test_an_environment_that_is_not_utf_8_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLDPWD", os.fsdecode(b"/srv/caf\xe9"))
    assert set(load(written(tmp_path)).machines) == {"a", "b", "client"}


def test_an_inventory_whose_path_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    assert "UTF-8" in failure(written(folder)).what


def test_a_kept_answer_is_the_one_that_ansible_gave(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(
        tmp_path, "ansible_host: 192.0.2.7", "sodbench_limits: {copy_s: 900}", "ansible_port: '2200'"
    )
    first = load(path)
    monkeypatch.setattr(inventories, "resolve", None)
    assert load(path) == first
    assert (first.machines["a"].address, first.machines["a"].port) == ("192.0.2.7", 2200)
