"""Arguments of ssh and Ansible's variables of a login: carried over, or refused by name."""

from __future__ import annotations

import getpass
import shlex
from pathlib import Path

import pytest

from harness.errors import InputFileError
from harness.rig.login import SECRETS, VARIABLES, Login, login
from harness.rig.ssh_arguments import UnsupportedError, expand, parse

INVENTORY = Path("/rigs/pair.yml")
COMPLETE = {"ansible_user": "bench", "ansible_port": 22}


def found(**variables: object) -> Login:
    return login("a", INVENTORY, {**COMPLETE, **variables}, [])


def refusal(**variables: object) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        found(**variables)
    return caught.value


def test_a_machine_without_variables_is_reached_by_its_name_as_ssh_would() -> None:
    plain = login("a", INVENTORY, {"sodbench_known_hosts": "known"}, [])
    assert (plain.address, plain.user, plain.port, plain.key) == ("a", getpass.getuser(), 22, None)
    assert plain.known_hosts == Path("/rigs/known")


def test_the_environment_counts_where_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", "/keys/one")
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "other")
    assert (found().key, found().user) == (Path("/keys/one"), "bench")
    assert found(ansible_private_key_file="/keys/two").key == Path("/keys/two")


@pytest.mark.parametrize(
    ("arguments", "proxy"),
    [
        ("-J hop", "ssh -o BatchMode=yes -W '[%h]:%p' -- hop"),
        ("-o ProxyJump=u@hop:2022", "ssh -o BatchMode=yes -l u -p 2022 -W '[%h]:%p' -- hop"),
        (
            "-o 'ProxyJump one,[2001:db8::1]:22'",
            "ssh -o BatchMode=yes -J one -p 22 -W '[%h]:%p' -- 2001:db8::1",
        ),
        ("-F none -J d%m@hop", "ssh -o BatchMode=yes -F none -l d%%m -W '[%h]:%p' -- hop"),
        ("-o ProxyCommand='nc -X 5 %h %p'", "nc -X 5 %h %p"),
        ("-o ProxyJump=none", None),
        ("-o ProxyCommand=none -C -o ServerAliveInterval=5", None),
    ],
)
def test_a_jump_becomes_a_proxy_command(arguments: str, proxy: str | None) -> None:
    assert found(ansible_ssh_common_args=arguments).proxy == proxy


def test_the_tokens_of_a_proxy_command_are_one_connections() -> None:
    text = expand("nc '[%h]:%p' %r 100%%", address="fe80::1%eth0", port=2022, user="bench")
    assert shlex.split(text) == ["nc", "[fe80::1%eth0]:2022", "bench", "100%"]


def test_arguments_say_key_host_keys_user_and_port_and_the_first_counts() -> None:
    asked = parse("-i /k/one -i /k/two -l ada -p 2022 -o UserKnownHostsFile=/k/known -o Port=23 -F none")
    assert (asked.key, asked.known_hosts) == (Path("/k/one"), Path("/k/known"))
    assert (asked.user, asked.port, asked.own_config) == ("ada", "2022", False)


@pytest.mark.parametrize(
    "arguments",
    [
        "-o StrictHostKeyChecking=no",
        "-o StrictHostKeyChecking=accept-new",
        "-o UserKnownHostsFile=/dev/null",
        "-o HostKeyAlias=other",
        "-o GSSAPIAuthentication=yes",
        "-o ProxyCommand='nc %C'",
        "-o ProxyJump=-oProxyCommand=id",
        "-o ProxyJump=a,-b,c",
        "-F /etc/other",
        "-b 192.0.2.1",
        "-i relative/key",
        "-4",
        "somewhere",
        "-o",
        "'unbalanced",
        "--help",
        "-J one -o ProxyCommand='nc %h %p'",
    ],
)
def test_an_argument_that_cannot_be_followed_is_refused_by_name(arguments: str) -> None:
    with pytest.raises(UnsupportedError):
        parse(arguments)
    error = refusal(ansible_ssh_extra_args=arguments)
    assert error.what == "ansible_ssh_extra_args of a cannot be carried over from Ansible"
    assert error.where == str(INVENTORY)
    assert error.why
    assert error.remedy


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ansible_connection", "paramiko"),
        ("ansible_ssh_executable", "/opt/ssh"),
        ("ansible_host_key_checking", False),
        ("ansible_become_method", "doas"),
        ("ansible_become_user", "operator"),
        ("ansible_port", "many"),
        ("ansible_port", 70000),
        ("ansible_port", -1),
        ("ansible_host", "-oProxyCommand=id"),
        ("ansible_host", "two words"),
        ("ansible_user", "-l"),
        ("ansible_user", "a\nb"),
        ("ansible_ssh_private_key_file", "keys/id"),
    ],
)
def test_a_value_that_cannot_be_followed_is_refused_by_name(variable: str, value: object) -> None:
    assert variable in VARIABLES
    error = refusal(**{variable: value})
    assert error.what == f"{variable} of a cannot be carried over from Ansible"
    assert error.why
    assert error.remedy


@pytest.mark.parametrize("variable", SECRETS)
def test_a_password_is_refused_without_being_read(variable: str) -> None:
    with pytest.raises(InputFileError) as caught:
        login("b", INVENTORY, COMPLETE, [variable])
    assert caught.value.what == f"{variable} of b cannot be carried over from Ansible"


def test_a_key_that_two_places_name_differently_is_refused() -> None:
    error = refusal(ansible_ssh_private_key_file="/k/one", ansible_ssh_common_args="-i /k/two")
    assert "/k/one" in error.why
    assert "/k/two" in error.why
