"""What is in the audit log: whatever is stored, in order, and nothing that was refused."""

from __future__ import annotations

from typing import Any

import pytest

from harness.registry.audit.chain import GENESIS, NO_DIGEST
from harness.registry.errors import RegistryError
from harness.registry.registry import Registry
from tests.registry.audited import CHAINED, KEY, fill
from tests.registry.subjects import SteppedPresent, enrolment, moment, result

# what is in it


def test_a_new_registry_has_its_first_entry(registry: Registry) -> None:
    (first,) = registry.audit.entries()
    assert (first.number, first.kind, first.previous) == (1, GENESIS, NO_DIGEST)
    before: Any = first.body["before"]
    assert {table: told["rows"] for table, told in before.items()} == dict.fromkeys(
        [*CHAINED, "attesters"], 0
    )
    assert registry.audit.verify() == registry.audit.head() == first.head


def test_whatever_is_stored_has_its_entry(registry: Registry) -> None:
    fill(registry)
    told = [(one.kind, one.subject) for one in registry.audit.entries(after=1)]
    assert told == [
        *[("identity", name) for name in ("host-a", "host-b", "guest-1")],
        *[("property", "host-a")] * 2,
        ("placement", "guest-1"),
        ("result", "host-a"),
        ("result", "host-b"),
        ("identity", "host-b"),  # held
        ("result", "stranger"),
        ("request", "guest-1"),
        ("response", "guest-1"),
        ("decision", "guest-1"),
        ("response", "guest-1"),
        ("placement", "guest-1"),
        ("request", "guest-1"),
        ("alarm", "guest-1"),
    ]
    assert registry.audit.verify().number == len(told) + 1


def test_entries_carry_what_matters(registry: Registry, present: SteppedPresent) -> None:
    present.at = moment(7)
    fill(registry)
    bodies = {(one.kind, one.subject): one.body for one in registry.audit.entries()}
    assert {name: told for name, told in bodies["result", "host-b"].items() if name != "rows"} == {
        "tier": "contraindicated",
        "reason": "pcr-value",
        "key": "ecc-p256",
    }
    assert bodies["identity", "host-b"]["event"] == "held"
    assert (bodies["placement", "guest-1"]["host"], bodies["placement", "guest-1"]["epoch"]) == ("host-b", 2)
    assert bodies["request", "guest-1"]["request"] is None
    assert bodies["response", "guest-1"]["state"] == "held"
    assert {one.at for one in registry.audit.entries(after=1)} == {moment(7)}


def test_what_was_refused_leaves_no_entry(registry: Registry) -> None:
    fill(registry)
    head = registry.audit.head()
    assert not registry.accept(
        result(), key_name=KEY, memory={}, version=1, generated=moment(), expires=moment(60)
    )
    for refused in (
        lambda: registry.place("guest-1", "host-a", 1),
        lambda: registry.enrol(enrolment("host-a", tpm="another")),
        lambda: registry.protection.withdraw("guest-1", by="customer", why="again"),
        lambda: registry.audit.append("result", "host-a", {}),
    ):
        with pytest.raises(Exception, match=r"epoch|enrolled|no request|only the registry"):
            refused()
    assert registry.audit.head() == head


def test_entries_are_read_in_part(registry: Registry) -> None:
    fill(registry)
    every = registry.audit.entries()
    assert registry.audit.entries(after=3, limit=4) == every[3:7]
    assert registry.audit.entries(after=len(every)) == ()
    assert registry.audit.newest(3) == every[-3:]
    assert registry.audit.newest(2, kind="result") == tuple(one for one in every if one.kind == "result")[-2:]
    assert registry.audit.entries(subject="host-b") == tuple(one for one in every if one.subject == "host-b")


@pytest.mark.parametrize(
    ("kind", "subject", "body"),
    [
        ("result", "host-a", {}),
        (GENESIS, "registry", {}),
        ("alarm", "host-a", {"rows": []}),
        ("two words", "host-a", {}),
        ("alarm", "", {}),
        ("alarm", "host-a", {"x": float("nan")}),
        ("alarm", "host-a", {"x": b"bytes"}),
    ],
)
def test_what_is_no_entry_is_refused(registry: Registry, kind: str, subject: str, body: Any) -> None:
    with pytest.raises(RegistryError):
        registry.audit.append(kind, subject, body)
    assert registry.audit.verify().number == 1


@pytest.mark.parametrize(
    "value",
    [
        0,
        -0.0,
        1.0,
        1,
        True,
        None,
        2**53 + 1,
        2**70,
        1e300,
        5e-324,
        "",
        "5",
        "ü\u2028\0\ud800",
        [],
        {"b": [1, {}], "a": 0},
    ],
)
def test_any_json_can_be_reported_asked_for_and_appended(registry: Registry, value: Any) -> None:
    if "\0" not in str(value):
        registry.set_property("host-a", "trust_evidence", value, source="wall", simulated=True)
    registry.audit.append("alarm", "host-a", {"value": value})
    assert registry.audit.newest(1)[0].body == {"value": value}
    assert registry.audit.verify() == registry.audit.head()


def test_keys_that_are_no_texts_are_kept_as_json_has_them(registry: Registry) -> None:
    registry.audit.append("alarm", "host-a", {10: 1, 9: (1, 2), "x": 3})  # type: ignore[dict-item]
    assert registry.audit.newest(1)[0].body == {"10": 1, "9": [1, 2], "x": 3}
    registry.audit.verify()
