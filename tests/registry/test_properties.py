"""What monitors say of servers: the present, and how it came about."""

from __future__ import annotations

import pytest

from harness.json_types import Json
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry
from tests.registry.subjects import SteppedPresent, moment


def test_a_property_is_what_was_said_last_and_remembers_what_it_was(
    registry: Registry, present: SteppedPresent
) -> None:
    said: list[tuple[int, Json]] = [(1, 0), (2, 0), (3, 7)]
    changed = []
    for at_s, violations in said:
        present.at = moment(at_s)
        changed.append(
            registry.set_property(
                "host-a", "trust_evidence", violations, source="HyperWall player", simulated=True
            )
        )
    assert changed == [True, False, True]
    now = registry.properties("host-a")["trust_evidence"]
    assert (now.value, now.source, now.simulated) == (7, "HyperWall player", True)
    assert (now.since, now.seen) == (moment(3), moment(3))
    assert [(one.value, one.at) for one in registry.changes("host-a", "trust_evidence")] == [
        (0, moment(1)),
        (7, moment(3)),
    ]


def test_the_same_said_again_is_seen_but_no_change(registry: Registry, present: SteppedPresent) -> None:
    for at_s in (1, 9):
        present.at = moment(at_s)
        registry.set_property("host-a", "architecture_type", ["TPM"], source="boot", simulated=False)
    now = registry.properties("host-a")["architecture_type"]
    assert (now.since, now.seen) == (moment(1), moment(9))
    assert len(registry.changes("host-a")) == 1


@pytest.mark.parametrize(
    ("value", "source", "simulated"),
    [
        (True, "boot", False),
        (1.5, "boot", False),
        (1, "another", False),
        (1, "boot", True),
        (None, "boot", False),
    ],
)
def test_another_value_source_or_kind_of_hardware_is_a_change(
    registry: Registry, value: Json, source: str, simulated: bool
) -> None:
    registry.set_property("host-a", "slots", 1, source="boot", simulated=False)
    assert registry.set_property("host-a", "slots", value, source=source, simulated=simulated)
    now = registry.properties("host-a")["slots"]
    assert (repr(now.value), now.source, now.simulated) == (repr(value), source, simulated)
    last = registry.changes("host-a", "slots")[-1]
    assert (repr(last.value), last.source, last.simulated) == (repr(value), source, simulated)


def test_servers_and_properties_are_kept_apart(registry: Registry) -> None:
    registry.set_property("host-a", "x", 1, source="boot", simulated=False)
    registry.set_property("host-b", "x", 2, source="boot", simulated=False)
    registry.set_property("host-a", "y", {"deep": [None, "ü"]}, source="boot", simulated=False)
    assert {name: one.value for name, one in registry.properties("host-a").items()} == {
        "x": 1,
        "y": {"deep": [None, "ü"]},
    }
    assert [one.value for one in registry.changes("host-a")] == [1, {"deep": [None, "ü"]}]
    assert [one.value for one in registry.changes("host-b", "x")] == [2]
    assert registry.properties("host-c") == {}


@pytest.mark.parametrize(
    ("server", "name", "value", "source"),
    [
        ("host a", "x", 1, "boot"),
        ("host-a", "", 1, "boot"),
        ("host-a", "x", float("inf"), "boot"),
        ("host-a", "x", 1, ""),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    registry: Registry, server: str, name: str, value: Json, source: str
) -> None:
    with pytest.raises(RegistryError):
        registry.set_property(server, name, value, source=source, simulated=False)
    assert registry.properties("host-a") == {}
    assert registry.changes("host-a") == ()
