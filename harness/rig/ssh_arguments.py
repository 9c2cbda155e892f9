"""What arguments of ssh(1) mean for a connection, so that programs other than ssh make the same one.

Ansible hands ``ansible_ssh_common_args`` and its like to ssh. The harness connects by itself, and libvirt
through a command of the harness: for each option here it is known how they follow it, or that it changes
nothing of what is reached. Every other option is refused by name, for a connection without it may be another.
"""

from __future__ import annotations

import getopt
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FLAGS = "46AaCfGgKkMNnqsTtVvXxYy"
_WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw"
_CHANGES_NOTHING = frozenset("AaCqTtvxS")
"""Flags of agent and X11 forwarding, compression, terminal, verbosity and the control socket."""

_OPTIONS_THAT_CHANGE_NOTHING = frozenset(
    {
        *("addkeystoagent", "batchmode", "checkhostip", "compression", "connectionattempts"),
        *(
            "connecttimeout",
            "controlmaster",
            "controlpath",
            "controlpersist",
            "escapechar",
            "forwardagent",
            "forwardx11",
        ),
        *("hashknownhosts", "identitiesonly", "ipqos", "kbdinteractiveauthentication", "loglevel"),
        *("numberofpasswordprompts", "passwordauthentication", "preferredauthentications", "requesttty"),
        *("serveralivecountmax", "serveraliveinterval", "tcpkeepalive", "updatehostkeys", "visualhostkey"),
    }
)
_LETTERS = {"F": "configfile", "i": "identityfile", "J": "proxyjump", "l": "user", "p": "port"}
_TOKENS = frozenset("hpnr%")


class UnsupportedError(ValueError):
    """An argument that the harness cannot follow; its text says which and why."""


@dataclass(slots=True, kw_only=True)
class SshArguments:
    """What arguments of ssh(1) ask for; None where they say nothing.

    Attributes:
        proxy: A ProxyCommand, in which %h, %n, %p and %r stand for host, port and user.
        key: Private key file.
        known_hosts: File of host keys.
        user: Login name.
        port: Port.
        own_config: Whether ssh's own configuration files are read.
    """

    proxy: str | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    user: str | None = None
    port: str | None = None
    own_config: bool = True


def parse(text: str) -> SshArguments:
    """What the arguments in `text`, split as a shell splits them, ask for.

    As for ssh, of an option given twice the first counts.

    Raises:
        UnsupportedError: An option cannot be carried over, or is no option of ssh.
    """
    first: dict[str, str] = {}
    for name, value in _options(text):
        first.setdefault(name, value)
    found = SshArguments(own_config=True)
    jump = ""
    for name, value in first.items():
        match name:
            case "configfile":
                found.own_config = _reads_configuration(value)
            case "identityfile":
                found.key = _path(value, "the key file")
            case "userknownhostsfile":
                found.known_hosts = _known_hosts(value)
            case "stricthostkeychecking":
                _require_checking(value)
            case "user":
                found.user = value
            case "port":
                found.port = value
            case "proxycommand":
                found.proxy = None if value.lower() == "none" else _proxy_command(value)
            case "proxyjump":
                jump = "" if value.lower() == "none" else value
            case _ if name not in _OPTIONS_THAT_CHANGE_NOTHING:
                raise UnsupportedError(f"the option {name!r} of ssh is not known to the harness")
    if jump and found.proxy:
        raise UnsupportedError("ProxyJump and ProxyCommand exclude each other")
    found.proxy = proxy_jump(jump, own_config=found.own_config) if jump else found.proxy
    return found


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Name in small letters and value of each option; what changes nothing is left out."""
    try:
        words = shlex.split(text)
        given, rest = getopt.getopt(words, _FLAGS + "".join(f"{one}:" for one in _WITH_VALUE))
    except (ValueError, getopt.GetoptError) as error:
        raise UnsupportedError(f"these are no options of ssh: {error}") from error
    if rest:
        raise UnsupportedError(f"{rest[0]!r} is no option of ssh")
    for letter, value in ((flag[1:], value) for flag, value in given):
        if letter == "o":
            name, _, setting = value.strip().replace("\t", " ").replace("=", " ", 1).partition(" ")
            yield name.lower(), setting.strip().removeprefix("=").strip().strip('"')
        elif letter in _LETTERS:
            yield _LETTERS[letter], value
        elif letter not in _CHANGES_NOTHING:
            raise UnsupportedError(f"the option -{letter} of ssh is not known to the harness")


def _reads_configuration(value: str) -> bool:
    if value not in ("none", "/dev/null"):
        raise UnsupportedError(f"-F {value}: only `-F none` is carried over, no other configuration file")
    return False


def _path(value: str, what: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise UnsupportedError(f"{what} {value!r} is not an absolute path: each program would look elsewhere")
    return path


def _known_hosts(value: str) -> Path:
    if len(value.split()) != 1 or value == "/dev/null":
        raise UnsupportedError(f"UserKnownHostsFile={value}: host keys are checked against one file")
    return _path(value, "the file of host keys")


def _require_checking(value: str) -> None:
    if value.lower() not in ("yes", "ask"):
        raise UnsupportedError(f"StrictHostKeyChecking={value}: the harness always checks host keys")


def _proxy_command(value: str) -> str:
    for token in re.findall(r"%(.?)", value.replace("%%", "")):
        if token not in _TOKENS:
            raise UnsupportedError(f"ProxyCommand: the token %{token} is not known to the harness")
    return value


def proxy_jump(hops: str, *, own_config: bool) -> str:
    """The ProxyCommand that does what ``ProxyJump=hops`` does, which goes to the last of them by the others.

    Raises:
        UnsupportedError: A hop is no [user@]host[:port].
    """
    *earlier, last = (hop.strip() for hop in hops.split(","))
    hop = re.fullmatch(
        r"(?:ssh://)?(?:(?P<user>[^\s]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s@:\[\]/-][^\s@:\[\]/]*))"
        r"(?::(?P<port>\d{1,5}))?/?",
        last,
    )
    if hop is None or any(not one or one.startswith("-") for one in earlier):
        raise UnsupportedError(f"ProxyJump={hops}: a hop is [user@]host[:port]")
    # As with ssh's own ProxyJump, user, key and host key of a hop come from ssh's configuration.
    words = ["ssh", "-o", "BatchMode=yes", *([] if own_config else ["-F", "none"])]
    words += ["-J", ",".join(earlier)] if earlier else []
    words += ["-l", hop["user"]] if hop["user"] else []
    words += ["-p", hop["port"]] if hop["port"] else []
    quoted = shlex.join([*words, "-W"]).replace("%", "%%")
    target = shlex.quote(hop["six"] or hop["host"]).replace("%", "%%")
    return f"{quoted} '[%h]:%p' -- {target}"


def expand(proxy: str, *, address: str, port: int, user: str) -> str:
    """The shell command of a ProxyCommand, for one connection."""
    values = {"h": address, "n": address, "p": str(port), "r": user, "%": "%"}
    # Put in as they are, as ssh does: an address and a user are known to hold nothing that a shell reads.
    return re.sub(r"%(.)", lambda found: values[found[1]], proxy)
