from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.errors import InputFileError
from harness.rig.pair import Endpoint, load, ssh_command_text

INVENTORY = """\
all:
  vars:
    ansible_user: lab
    sodbench_guest_network: {address: 192.0.2.100, prefix: 25, gateway: 192.0.2.1}
    sodbench_storage_path: /srv/elsewhere
  children:
    hosts:
      hosts:
        a: {ansible_host: 192.0.2.11}
        b: {ansible_host: 192.0.2.12, sodbench_migration_address: 10.0.0.2}
    client:
      hosts:
        client: {ansible_host: 192.0.2.13, ansible_port: 2222}
"""


def written(folder: Path, text: str = INVENTORY) -> Path:
    path = folder / "pair.yml"
    path.write_text(text)
    return path


@pytest.mark.programs
def test_an_inventory_becomes_machines(tmp_path: Path) -> None:
    pair = load(written(tmp_path))
    assert {role: one.address for role, one in pair.machines.items()} == {
        "a": "192.0.2.11",
        "b": "192.0.2.12",
        "client": "192.0.2.13",
    }
    assert (pair.machines["client"].user, pair.machines["client"].port) == ("lab", 2222)
    assert pair.migration_address == {"a": "192.0.2.11", "b": "10.0.0.2"}
    assert (pair.rig, pair.storage_path, pair.bridge, pair.link_bit_s) == (
        "pair",
        "/srv/elsewhere",
        "br0",
        None,
    )
    assert (pair.guest_network.address, pair.guest_network.prefix) == ("192.0.2.100", 25)


@pytest.mark.programs
def test_group_and_host_variables_in_files_count_as_they_do_in_playbooks(tmp_path: Path) -> None:
    inventory = written(tmp_path)
    for name, text in {
        "group_vars/hosts.yml": "sodbench_link_bit_s: 10000000000\nsodbench_bridge: br5\n",
        "host_vars/b.yml": "ansible_user: root\n",
    }.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    pair = load(inventory)
    assert (pair.link_bit_s, pair.bridge) == (10**10, "br5")
    assert (pair.machines["a"].user, pair.machines["b"].user) == ("lab", "root")


@pytest.mark.programs
def test_an_ini_inventory_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "pair.ini"
    path.write_text(
        "[hosts]\na ansible_host=192.0.2.11\nb\n[client]\nclient\n[all:vars]\n"
        'sodbench_guest_network={"address": "192.0.2.100"}\n'
    )
    pair = load(path)
    assert (pair.machines["a"].address, pair.machines["b"].address) == ("192.0.2.11", "b")
    assert pair.guest_network.prefix == 24


def failure(path: Path) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        load(path)
    return caught.value


@pytest.mark.programs
def test_a_missing_machine_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    error = failure(written(tmp_path, INVENTORY.replace("        b:", "        bee:")))
    assert error.what == "no machine named 'b'"
    assert error.where == str(tmp_path / "pair.yml")
    assert error.why == "found: a, bee, client"
    assert "group hosts" in error.remedy


@pytest.mark.programs
def test_a_missing_variable_is_named_with_its_machine(tmp_path: Path) -> None:
    kept = [line for line in INVENTORY.splitlines() if "guest_network" not in line]
    error = failure(written(tmp_path, "\n".join(kept)))
    assert error.what == "variables of a"
    assert "sodbench_guest_network" in error.why
    assert "required" in error.why


@pytest.mark.programs
def test_a_wrong_variable_is_named_by_its_path(tmp_path: Path) -> None:
    error = failure(written(tmp_path, INVENTORY.replace("prefix: 25", "prefix: wide")))
    assert "sodbench_guest_network.prefix" in error.why


def test_an_inventory_that_is_not_there_says_where_to_get_one(tmp_path: Path) -> None:
    error = failure(tmp_path / "none.yml")
    assert (error.what, error.where) == ("no such inventory", str(tmp_path / "none.yml"))
    named = [word for word in error.remedy.split() if word.endswith("example.yml")]
    assert [(Path(__file__).parents[2] / one).is_file() for one in named] == [True]
    assert "sodbench lab up" in error.remedy


@pytest.mark.programs
@pytest.mark.parametrize("text", ["", "not: an inventory\n", "\x00\x01"])
def test_something_that_is_no_inventory_is_refused(tmp_path: Path, text: str) -> None:
    error = failure(written(tmp_path, text))
    assert error.where == str(tmp_path / "pair.yml")
    assert error.why


def test_ssh_checks_host_keys_and_never_asks() -> None:
    options = Endpoint(role="a", address="h", user="root").ssh_options()
    assert "StrictHostKeyChecking=yes" in options
    assert "BatchMode=yes" in options
    assert not {"-i", "-F"} & set(options)


def test_the_rigs_own_key_and_known_hosts_replace_the_users() -> None:
    endpoint = Endpoint(
        role="a", address="h", user="root", key=Path("/k/id key"), known_hosts=Path("/k/known")
    )
    options = endpoint.ssh_options()
    assert options[options.index("-i") + 1] == "/k/id key"
    assert "IdentitiesOnly=yes" in options
    assert options[options.index("-F") + 1] == "none"
    assert "UserKnownHostsFile=/k/known" in options


def test_libvirts_ssh_command_is_one_shell_line_with_the_same_options() -> None:
    endpoint = Endpoint(role="a", address="h", user="root", key=Path("/k/id key"))
    first, line = ssh_command_text(endpoint).splitlines()
    assert first == "#!/bin/sh"
    assert shlex.split(line) == ["exec", "ssh", *endpoint.ssh_options(), "$@"]


@pytest.mark.programs
def test_the_guest_is_reached_as_root_and_libvirt_by_the_login(tmp_path: Path) -> None:
    pair = load(written(tmp_path, INVENTORY))
    guest = pair.guest(pair.only_guest, Path("/k/guest_hosts"))
    assert (guest.address, guest.user) == ("192.0.2.100", "root")
    assert guest.known_hosts == Path("/k/guest_hosts")
    assert pair.libvirt_uri("b", Path("/t/b")) == "qemu+ssh://lab@192.0.2.12:22/system?command=/t/b"
