"""A guest has a host key of its own, told on its console, and a login key that opens no host."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from harness import resources
from harness.clock import MonotonicClock
from harness.errors import InventoryError, PrerequisiteError, UnreachableError
from harness.rig.contract import Machine
from harness.rig.guest import domain, host_key, login_key
from harness.rig.guest.guest import Guest
from harness.rig.host import Host
from harness.rig.pair import Endpoint, Pair, load
from tests.rig.test_guest_xml import GUEST
from tests.rig.test_guest_xml import pair as made_up

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA" + "a" * 42
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB" + "b" * 42
LONGER = f"sodbench-host-key {KEY.replace('IA', 'IQ', 1)}\n"
"""A key that says to have 33 bytes, which the SSH library would not take."""
LINE = f"\nsodbench-host-key {KEY}\r\n"


class Shell:
    """A host that is this machine, or one that does not answer."""

    def __init__(self, *, lives: bool = True) -> None:
        self._lives = lives

    def attempt(self, command: str, **_limits: object) -> tuple[int, str, str]:
        if not self._lives:
            raise UnreachableError("the machine cannot be reached over ssh", retry=True)
        command = command.replace("seq 20", "seq 1")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


def hosts(a: Shell | None = None, b: Shell | None = None) -> Mapping[str, Machine]:
    return cast(Mapping[str, Machine], {"a": a or Shell(), "b": b or Shell()})


def stored(tmp_path: Path, console: str, guest: Guest = GUEST) -> Pair:
    """A pair on whose storage `guest` has this console, under a path that a shell takes for several words."""
    pair = replace(made_up(), storage_path=str(tmp_path / "a b; $(id)"))
    file = Path(domain.console(pair, guest))
    file.parent.mkdir(parents=True)
    file.write_text(console)
    return pair


@pytest.mark.parametrize(
    "console",
    [
        LINE,
        f"[    0.1] booting\n{LINE}login: ",
        LINE + LINE.replace(KEY, OTHER),
        # The kernel wrote into the first line.
        f"\nsodbench-host-key {KEY[:30]}[ 1.0] clock\n{KEY[30:]}\n{LINE}",
        f"\nx sodbench-host-key {OTHER}\n{LINE}",
        f"\nsodbench-host-key {OTHER}bb\n{LINE}",
    ],
)
def test_the_first_whole_key_on_the_console_is_the_guests(tmp_path: Path, console: str) -> None:
    assert host_key.told(console) == KEY
    known = tmp_path / "known_hosts"
    host_key.learn(stored(tmp_path, console), GUEST, hosts(), known)
    assert known.read_text() == f"{GUEST.address} {KEY}\n"


@pytest.mark.parametrize(
    "console", ["", "login: ", f"sodbench-host-key {KEY[:-1]}\n", "sodbench-host-key ssh-rsa AAAA\n", LONGER]
)
def test_a_guest_that_told_no_key_is_not_connected_to(tmp_path: Path, console: str) -> None:
    known = tmp_path / "known_hosts"
    with pytest.raises(UnreachableError, match="has not told its SSH host key") as caught:
        host_key.learn(stored(tmp_path, console), GUEST, hosts(), known)
    assert not known.exists()
    assert GUEST.name in str(caught.value.where)


def test_a_key_behind_a_flood_is_not_looked_for(tmp_path: Path) -> None:
    console = "x" * (1 << 20) + LINE
    assert host_key.told(console) is None
    with pytest.raises(UnreachableError):
        host_key.learn(stored(tmp_path, console), GUEST, hosts(), tmp_path / "known")


def test_the_other_host_is_asked_where_one_does_not_answer(tmp_path: Path) -> None:
    pair, known = stored(tmp_path, LINE), tmp_path / "known_hosts"
    host_key.learn(pair, GUEST, hosts(a=Shell(lives=False)), known)
    assert KEY in known.read_text()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        host_key.learn(pair, GUEST, hosts(Shell(lives=False), Shell(lives=False)), known)


def test_two_guests_are_known_by_keys_of_their_own(tmp_path: Path) -> None:
    second = replace(GUEST, domain=f"{GUEST.domain}-two", address="192.0.2.77")
    pair = stored(tmp_path, LINE)
    other = Path(domain.console(pair, second))
    other.parent.mkdir()
    other.write_text(LINE.replace(KEY, OTHER))
    reached = [host_key.reached(pair, one, hosts(), tmp_path, MonotonicClock()) for one in (GUEST, second)]
    for one in reached:
        with pytest.raises(UnreachableError):
            one.run("true", timeout_s=1)
    files = [cast(Path, one.endpoint.known_hosts).read_text() for one in reached]
    assert files == [f"{GUEST.address} {KEY}\n", f"192.0.2.77 {OTHER}\n"]


@pytest.mark.programs
def test_a_guest_with_another_key_than_it_told_is_refused(machine: Endpoint) -> None:
    """As a guest that poses as another: its server answers at the address, with a key that was not told."""
    known = cast(Path, machine.known_hosts)
    theirs = known.read_text()
    address = theirs.split()[0]

    def tell_another() -> None:
        known.write_text(f"{address} {OTHER}\n")

    with Host(machine, before_connecting=tell_another) as posing, pytest.raises(UnreachableError) as caught:
        posing.run("echo hello")
    assert caught.value.retry is False

    def tell_its_own() -> None:
        known.write_text(theirs)

    with Host(machine, before_connecting=tell_its_own) as honest:
        assert "hello" in honest.run("echo hello", root=False)


def test_no_image_has_a_host_key_and_each_boot_tells_the_one_it_makes(tmp_path: Path) -> None:
    roles = resources.playbooks() / "roles"
    standard = (roles / "guest_image/files/after_packages.sh").read_text()
    script = standard.partition("lib/sodbench/host_key\" <<'END'\n")[2].partition("END\n")[0]
    small = (
        "#!/bin/sh\n"
        + (roles / "small_image/files/tree/etc/sodbench/start").read_text().partition("key=/run")[2]
    )
    small = small.replace("#!/bin/sh\n", "#!/bin/sh\nkey=/run", 1)
    told = set()
    for name, text in (("standard", script), ("small", small)):
        for boot in ("first", "second"):
            run = tmp_path / name / boot
            run.mkdir(parents=True)
            here = text.replace("/run/sodbench", f"{run}/sodbench").replace("/dev/console", f"{run}/console")
            subprocess.run(["sh", "-c", here], check=True)
            public = (run / "sodbench/ssh_host_ed25519_key.pub").read_text()
            key = host_key.told((run / "console").read_text())
            assert key is not None
            assert public.startswith(key)
            assert (run / "sodbench/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
            told.add(key)
    assert len(told) == 4
    for config in (standard, (roles / "small_image/files/tree/etc/ssh/sshd_config").read_text()):
        assert "HostKey /run/sodbench/ssh_host_ed25519_key" in config
    for file in (one for one in roles.rglob("*") if one.is_file() and "image" in str(one)):
        assert "ssh-keygen" not in file.read_text(errors="replace") or file.name in {
            "after_packages.sh",
            "build.sh",
            "start",
        }, file


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data/sodbench"


def test_the_guests_key_is_made_when_it_is_first_needed(data: Path) -> None:
    assert login_key.default() == data / "guest.key"
    public = login_key.public(login_key.default())
    assert public.startswith("ssh-ed25519 AAAA")
    assert len(public.split()) == 2
    assert login_key.public(login_key.default()) == public
    assert (data / "guest.key").stat().st_mode & 0o777 == 0o600


def test_a_guests_key_that_others_may_read_is_not_used(data: Path) -> None:
    login_key.public(login_key.default())
    (data / "guest.key").chmod(0o644)
    with pytest.raises(PrerequisiteError, match="readable by others"):
        login_key.public(login_key.default())


@pytest.mark.parametrize("text", [None, "not a key"])
def test_a_named_key_is_never_made(data: Path, tmp_path: Path, text: str | None) -> None:
    named = tmp_path / "named"
    if text is not None:
        named.write_text(text)
        named.chmod(0o600)
    with pytest.raises(PrerequisiteError, match="missing" if text is None else "not a usable ssh key"):
        login_key.public(named)
    assert not data.exists()


INVENTORY = """\
all:
  vars:
    ansible_ssh_private_key_file: {inventory}/id
    sodbench_guest_network: {{address: 192.0.2.100}}
    {more}
  children:
    hosts: {{hosts: {{a: {{}}, b: {{}}}}}}
    clients: {{hosts: {{client: {{}}}}}}
"""


def loaded(folder: Path, more: str = "") -> Pair:
    (folder / "pair.yml").write_text(INVENTORY.format(inventory=folder, more=more))
    return load(folder / "pair.yml")


@pytest.mark.programs
def test_guests_are_opened_by_a_key_that_opens_no_host(data: Path, tmp_path: Path) -> None:
    pair = loaded(tmp_path)
    assert pair.guest(pair.only_guest, Path("/k")).key == data / "guest.key"
    assert {one.key for one in pair.machines.values()} == {tmp_path / "id"}
    named = loaded(tmp_path, "sodbench_guest_key_file: keys/guests")
    assert named.guest(named.only_guest, Path("/k")).key == tmp_path / "keys/guests"
    (tmp_path / "link").symlink_to(tmp_path / "id")
    for shared in ("id", "link", str(tmp_path / "id")):
        with pytest.raises(InventoryError, match="opens other machines as well") as caught:
            loaded(tmp_path, f"sodbench_guest_key_file: {shared}")
        assert "a, b, client" in str(caught.value.why)
