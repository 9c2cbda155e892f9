"""What a machine was provisioned with: another inventory, another mark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.rig import ready
from harness.rig.pair import Endpoint, GuestNetwork, Pair


def pair(inventory: Path) -> Pair:
    return Pair(
        inventory=inventory,
        rig="pair",
        machines={role: Endpoint(role=role, address=role, user="root") for role in ("a", "b", "client")},
        migration_address={"a": "a", "b": "b"},
        link_bit_s=None,
        storage_path="/srv/shared",
        bridge="br0",
        guest_network=GuestNetwork(address="192.0.2.9"),
        image_options={},
    )


def test_a_groups_variables_beside_the_inventory_are_in_the_mark(tmp_path: Path) -> None:
    inventory, variables = tmp_path / "pair.yml", tmp_path / "group_vars/all.yml"
    inventory.write_text("all: {}\n")
    variables.parent.mkdir()
    variables.write_text("sodbench_bridge: br0\n")
    before = ready.mark(pair(inventory))
    assert ready.mark(pair(inventory)) == before
    variables.write_text("sodbench_bridge: br1\n")
    assert ready.mark(pair(inventory)) != before


def test_a_folder_as_inventory_has_a_mark_of_all_in_it(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("all: {}\n")
    folder = pair(tmp_path)
    before = ready.mark(folder)
    (tmp_path / "two.ini").write_text("[hosts]\n")
    assert ready.mark(replace(folder, rig="pair")) != before
