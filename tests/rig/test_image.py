"""The image's key: equal when nothing of the image differs, and another one whenever something does."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from harness import resources
from harness.json_types import Json
from harness.rig.guest import image
from harness.rig.guest.kind import SMALL
from harness.rig.host import Host
from harness.rig.pair import GuestNetwork, Pair, load

INVENTORY = """\
all:
  vars:
    sodbench_guest_key_file: KEY
    sodbench_guest_network: {address: 192.0.2.100}
  children:
    hosts: {hosts: {a: {}, b: {}}}
    clients: {hosts: {client: {}}}
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("inventory")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (folder / "pair.yml").write_text(INVENTORY.replace("KEY", str(key)))
    return load(folder / "pair.yml")


def test_the_key_is_sixteen_digits_and_the_same_again(pair: Pair) -> None:
    key = image.image_key(pair)
    assert len(key) == 16
    assert int(key, 16) >= 0
    assert image.image_key(pair) == key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("apt_sources", "deb http://mirror.example/debian trixie main"),
        ("suite", "trixie"),
        ("size", "9G"),
        ("extra_packages", ["htop"]),
    ],
)
def test_what_the_inventory_asks_of_the_image_is_in_the_key(pair: Pair, name: str, value: Json) -> None:
    asked = {**pair.image_options, name: value}
    assert image.image_key(replace(pair, image_options=asked)) != image.image_key(pair)


def test_the_key_that_opens_the_guests_is_in_the_images_key(pair: Pair, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    assert image.image_key(replace(pair, guest_key=other)) != image.image_key(pair)


def test_the_guests_name_servers_are_in_the_key_and_its_address_is_not(pair: Pair) -> None:
    key = image.image_key(pair)
    elsewhere = GuestNetwork(address="192.0.2.101")
    assert image.image_key(replace(pair, guest_network=elsewhere)) == key
    resolving = GuestNetwork(address="192.0.2.100", dns=["192.0.2.1"])
    assert image.image_key(replace(pair, guest_network=resolving)) != key


@pytest.mark.parametrize(
    "changed",
    [
        "defaults/main.yml",
        "../attester/files/sodbench_attester.py",
        "../attester/templates/attester.toml.j2",
        "files/app/pom.xml",
        "files/app/src/main/java/sodbench/shop/Catalogue.java",
        "files/servers/page.php",
        "files/servers/etc/mariadb.cnf",
        "tasks/servers.yml",
    ],
)
def test_every_file_of_the_role_is_in_the_key(
    pair: Pair, changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = image.image_key(pair)
    copy = tmp_path / "playbooks"
    shutil.copytree(resources.playbooks(), copy)
    monkeypatch.setattr(resources, "playbooks", lambda: copy)
    assert image.image_key(pair) == key
    with (copy / "roles/guest_image" / changed).open("a") as file:
        file.write("\n")
    assert image.image_key(pair) != key


def test_what_an_interpreter_leaves_beside_a_program_is_not_in_the_key(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = image.image_key(pair)
    copy = tmp_path / "playbooks"
    shutil.copytree(resources.playbooks(), copy)
    monkeypatch.setattr(resources, "playbooks", lambda: copy)
    (copy / "roles/attester/files/__pycache__").mkdir(exist_ok=True)
    (copy / "roles/attester/files/__pycache__/sodbench_tpm.cpython-311.pyc").write_bytes(b"compiled")
    assert image.image_key(pair) == key


class Shell:
    """A host whose commands are only written down."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def attempt(self, command: str, **_limits: object) -> tuple[int, str, str]:
        self.said.append(command)
        return 0, "{}", ""

    def run(self, command: str, **_limits: object) -> str:
        self.said.append(command)
        return ""


def test_the_storages_path_is_one_word_of_every_command(pair: Pair) -> None:
    storage = "/srv/a b; touch /srv/$(id)"
    elsewhere, shell = replace(pair, storage_path=storage), Shell()
    builder = cast(Host, shell)
    image.exists(elsewhere, builder, "0123")
    image.describe(elsewhere, builder, "0123")
    image._prune(elsewhere, builder, ["0123"])
    words = [word for command in shell.said for word in shlex.split(command) if "/srv" in word]
    assert words == [
        *(f"{storage}/images/0123/{name}" for name in ("image.json", "image.json")),
        f"{storage}/images",
        f"{storage}/snapshots",
    ]


def test_the_small_images_key_is_its_own_and_follows_its_role(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, standard = image.image_key(pair, SMALL), image.image_key(pair)
    assert key != standard
    larger = replace(pair, image_options={**pair.image_options, "size": "9G"})
    assert image.image_key(larger, SMALL) == key
    newer = replace(pair, image_options={**pair.image_options, "suite": "trixie"})
    assert image.image_key(newer, SMALL) != key
    copy = tmp_path / "playbooks"
    shutil.copytree(resources.playbooks(), copy)
    monkeypatch.setattr(resources, "playbooks", lambda: copy)
    with (copy / "roles/small_image/files/memory.c").open("a") as file:
        file.write("\n")
    assert image.image_key(pair, SMALL) != key
    assert image.image_key(pair) == standard


def test_older_images_are_removed_and_neither_of_the_two_that_count(pair: Pair) -> None:
    shell = Shell()
    image._prune(pair, cast(Host, shell), ["0123", "4567"])
    (command,) = shell.said
    assert "! -name 0123 ! -name 4567 -exec rm -rf" in command
