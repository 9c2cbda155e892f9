"""Ansible's answer about an inventory is kept where it follows from the file alone, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from harness import resources
from harness.errors import InventoryError
from harness.rig import inventory as inventories
from harness.rig import kept_inventory
from harness.rig.inventory import Resolved

PLAIN = "all: {hosts: {a: {ansible_host: 192.0.2.1, sodbench_guest_network: {address: 192.0.2.100}}}}\n"
ANSWER = {"a": Resolved({"ansible_host": "192.0.2.1", "sodbench_link_bit_s": 10**9}, ["ansible_password"])}


class Ansible:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.meanwhile = ""

    def resolve(
        self, inventory: Path, *, machines: Sequence[str], wanted: Sequence[str], programs: bool
    ) -> Mapping[str, Resolved]:
        self.asked += 1
        if "broken" in inventory.read_text():
            raise InventoryError("not an inventory", where=str(inventory))
        if self.meanwhile:
            inventory.write_text(self.meanwhile)
        return ANSWER


@pytest.fixture
def ansible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ansible:
    played = Ansible()
    monkeypatch.setattr(inventories, "resolve", played.resolve)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return played


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "pair.yml"
    path.write_text(PLAIN)
    return path


def ask(inventory: Path, *wanted: str, programs: bool = False) -> Mapping[str, Resolved]:
    return kept_inventory.resolve(inventory, machines=["a"], wanted=wanted, programs=programs)


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/sodbench/inventories").glob("*"))


def test_a_plain_inventory_is_resolved_once(ansible: Ansible, inventory: Path, tmp_path: Path) -> None:
    assert [ask(inventory), ask(inventory)] == [ANSWER] * 2
    assert ansible.asked == 1
    (file,) = kept(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o077) == (0o600, 0)


def test_the_kept_answer_is_for_the_same_question_only(
    ansible: Ansible, inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(inventory)
    ask(inventory, "sodbench_rig")
    assert ansible.asked == 2
    inventory.write_text(PLAIN.replace("192.0.2.1,", "192.0.2.2,"))
    ask(inventory, "sodbench_rig")
    assert ansible.asked == 3
    monkeypatch.setenv("ANSIBLE_HASH_BEHAVIOUR", "merge")
    ask(inventory, "sodbench_rig")
    assert ansible.asked == 4
    monkeypatch.setattr(kept_inventory, "version", lambda _package: "99")
    ask(inventory, "sodbench_rig")
    assert ansible.asked == 5
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("192.0.2.1,", '\'{{ lookup("env", "HOST") }}\','),
        PLAIN.replace("192.0.2.1,", "'{% if true %}a{% endif %}',"),
        PLAIN.replace("192.0.2.1,", "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n"),
        "#" * 1_000_001 + "\n" + PLAIN,
    ],
)
def test_what_the_text_alone_does_not_say_is_asked_each_time(
    ansible: Ansible, inventory: Path, tmp_path: Path, text: str
) -> None:
    inventory.write_text(text)
    ask(inventory)
    ask(inventory)
    assert (ansible.asked, kept(tmp_path)) == (2, [])


@pytest.mark.parametrize("beside", ["group_vars", "host_vars", ".ansible/plugins/vars"])
def test_variables_next_to_the_file_count_from_when_they_are_there(
    ansible: Ansible, inventory: Path, beside: str
) -> None:
    ask(inventory)
    (inventory.parent / beside).mkdir(parents=True)
    ask(inventory)
    assert ansible.asked == 2


def test_folders_and_programs_are_asked_each_time(ansible: Ansible, inventory: Path, tmp_path: Path) -> None:
    ask(inventory)
    ask(inventory, programs=True)
    assert ansible.asked == 2
    inventory.write_text("#!/bin/sh\n" + PLAIN.replace("all", "# all"))
    inventory.chmod(0o700)
    ask(inventory)
    ask(inventory)
    assert ansible.asked == 4
    with pytest.raises(IsADirectoryError):  # what this test's Ansible makes of it
        ask(resources.playbooks())
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "none.yml")


def test_an_error_is_not_kept(ansible: Ansible, inventory: Path, tmp_path: Path) -> None:
    inventory.write_text("broken")
    for _ in range(2):
        with pytest.raises(InventoryError):
            ask(inventory)
    assert (ansible.asked, kept(tmp_path)) == (2, [])


def test_an_answer_about_a_file_that_changed_meanwhile_is_not_kept(
    ansible: Ansible, inventory: Path, tmp_path: Path
) -> None:
    ansible.meanwhile = PLAIN + "# more\n"
    ask(inventory)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"key": 1, "machines": []}', b"\xff", b"[" * 100_000])
def test_a_damaged_answer_is_asked_for_again(
    ansible: Ansible, inventory: Path, tmp_path: Path, damage: bytes
) -> None:
    ask(inventory)
    (file,) = kept(tmp_path)
    file.write_bytes(damage)
    assert ask(inventory) == ANSWER
    assert ansible.asked == 2
    ask(inventory)
    assert ansible.asked == 2


def test_what_another_user_wrote_is_not_believed(
    ansible: Ansible, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(inventory)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    ask(inventory)
    assert ansible.asked == 2


def test_a_cache_that_cannot_be_written_changes_no_answer(
    ansible: Ansible, inventory: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert [ask(inventory), ask(inventory)] == [ANSWER] * 2
    assert ansible.asked == 2


def test_the_newest_answers_are_kept(
    ansible: Ansible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_inventory, "MOST", 2)
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text(PLAIN)
        ask(tmp_path / name)
    assert len(kept(tmp_path)) == 2
    ask(tmp_path / "three")
    assert ansible.asked == 3
