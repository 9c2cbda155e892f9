"""Requests: the matrix they fill, and what is refused with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.policy.fleet import Fleet
from harness.policy.packages import PACKAGES
from harness.policy.request import Request, RequestReason, RequestRefusedError, request
from harness.policy.threats import BOTH, CELLS, COLUMNS, OPTIONS, Aspect, Cell, Entity, mask
from harness.policy.validation import deploy
from tests.policy import oracle
from tests.policy.servers import NOW_NS, TABLE, server


@pytest.mark.parametrize(
    ("vm", "options"), [("VM-A", ["1"]), ("VM-B", ["1", "2"]), ("VM-A", ["1:ci"]), ("VM-B", ["2:ic", "1"])]
)
def test_the_papers_request_matrix_is_reproduced(vm: str, options: list[str]) -> None:
    row = dict(oracle.table2()[vm])
    assert row.pop("vm") == vm
    matrix = request(options).matrix()
    assert {str(cell): "yes" if asked else "no" for cell, asked in matrix.items()} == row
    assert [str(cell) for cell in matrix] == list(row)


@pytest.mark.parametrize(("vm", "package"), [("VM-A", "basic"), ("VM-B", "untrusted-host")])
def test_its_rows_are_packages_too(vm: str, package: str) -> None:
    asked = {str(cell) for cell in request(packages=[package]).cells}
    assert asked == {column for column, value in oracle.table2()[vm].items() if value == "yes"}


def test_cells_and_options_are_the_tables_own() -> None:
    columns = list(oracle.table2()["VM-A"])[1:]
    assert [str(cell) for cell in CELLS] == list(COLUMNS) == columns
    assert {str(number): entity.value for number, entity in OPTIONS.items()} == oracle.ENTITY_OF_OPTION


@given(st.sets(st.sampled_from(CELLS)))
def test_a_mask_is_a_set_of_cells(cells: set[Cell]) -> None:
    assert {cell for number, cell in enumerate(CELLS) if mask(cells) >> number & 1} == cells
    assert mask(cells).bit_length() <= len(CELLS)


def test_medical_records_are_the_papers() -> None:
    assert request(packages=["medical-records"]).options == dict.fromkeys((1, 5, 6, 7), BOTH)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_can_be_had_somewhere(name: str) -> None:
    fleet = Fleet(TABLE, [server(one, one) for one in TABLE])
    assert deploy(request(packages=[name]), fleet, NOW_NS).count > 0


def test_options_and_packages_add_up() -> None:
    found = request(["1:c", "3:i", "1:i", "7:c"], ["public-service", "basic", "basic"])
    assert found.options == {
        1: BOTH,
        3: frozenset({Aspect.INTEGRITY}),
        7: frozenset({Aspect.CONFIDENTIALITY}),
    }
    assert found.packages == ("public-service", "basic")
    assert found.texts() == ("1", "3:i", "7:c")
    assert Cell(Entity.HARDWARE, Aspect.CONFIDENTIALITY) not in found.cells


@pytest.mark.parametrize(
    ("options", "packages", "reason"),
    [
        ([], [], "empty"),
        (["4"], [], "cloud-manager-trusted"),
        (["1", "4:c"], ["basic"], "cloud-manager-trusted"),
        (["2", "5"], [], "introspection-conflict"),
        (["2:c", "6:i"], [], "introspection-conflict"),
        (["2"], ["medical-records"], "introspection-conflict"),
        ([], ["medical-records", "untrusted-host"], "introspection-conflict"),
        (["0"], [], "unknown-option"),
        (["8"], [], "unknown-option"),
        (["01"], [], "unknown-option"),
        (["-1"], [], "unknown-option"),
        (["¹"], [], "unknown-option"),
        (["١"], [], "unknown-option"),
        (["1 "], [], "unknown-option"),
        (["hypervisor"], [], "unknown-option"),
        ([""], [], "unknown-option"),
        (["1:"], [], "unknown-aspect"),
        (["1:x"], [], "unknown-aspect"),
        (["1:cc"], [], "unknown-aspect"),
        (["1:C"], [], "unknown-aspect"),
        (["1:c:i"], [], "unknown-aspect"),
        (["1"], ["medical"], "unknown-package"),
        (["1"], ["BASIC"], "unknown-package"),
    ],
)
def test_what_cannot_be_kept_is_refused(options: list[str], packages: list[str], reason: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        request(options, packages)
    assert caught.value.reason is RequestReason(reason)
    assert caught.value.exit_code == 17
    assert caught.value.remedy
    assert reason in caught.value.summary


@pytest.mark.parametrize(
    ("options", "named"), [(["2", "5"], "with 5"), (["2", "6"], "with 6"), (["2", "5", "6"], "with 5 and 6")]
)
def test_a_conflict_names_what_conflicts(options: list[str], named: str) -> None:
    with pytest.raises(RequestRefusedError, match=named) as caught:
        request(options)
    assert "introspection" in caught.value.why
    assert "III-E" in caught.value.why


def test_a_near_package_is_suggested() -> None:
    with pytest.raises(RequestRefusedError) as caught:
        request(packages=["medical-record"])
    assert caught.value.remedy == "did you mean 'medical-records'?"


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("NoHyp", "unknown-architecture", "'NoHype'"),
        ("nohype", "unknown-architecture", "'NoHype'"),
        ("", "unknown-architecture", "one of them"),
        ("HyperWall", "nothing-removed", "leave it out"),
    ],
)
def test_what_is_accepted_must_be_in_the_table(name: str, reason: str, hint: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        request(["2"], accept_removed=[name], table=TABLE)
    assert caught.value.reason.value == reason
    assert hint in caught.value.remedy
    assert "NoHype" in caught.value.why


def test_what_is_in_the_table_is_accepted() -> None:
    assert request(["2"], accept_removed=["NoHype"], table=TABLE).accept_removed == {"NoHype"}


# -- as JSON


def kept_options() -> st.SearchStrategy[list[str]]:
    one = st.sampled_from(["1", "1:c", "2:i", "3", "5:c", "6:i", "7", "7:c"])
    plain = st.lists(one, min_size=1)
    return plain.filter(lambda texts: not ({"2:i"} & set(texts) and {"5:c", "6:i"} & set(texts)))


@given(kept_options(), st.lists(st.sampled_from(["basic", "public-service"])), st.lists(st.text()))
def test_a_request_survives_being_stored(
    options: list[str], packages: list[str], accepted: list[str]
) -> None:
    found = request(options, packages, accepted)
    stored = json.loads(json.dumps(found.to_json()))
    assert Request.from_json(stored) == found
    assert request(found.texts()).options == found.options


def test_a_package_that_is_no_more_stays_what_was_asked_for() -> None:
    stored: dict[str, Any] = {"options": {"1": "c"}, "packages": ["of-before"], "accept_removed": []}
    assert Request.from_json(stored).packages == ("of-before",)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"options": {"1": "c"}},
        {"options": {"1": "c"}, "packages": [], "accept_removed": [], "more": 1},
        {"options": ["1"], "packages": [], "accept_removed": []},
        {"options": {"1": ["c"]}, "packages": [], "accept_removed": []},
        {"options": {"1": "c"}, "packages": "basic", "accept_removed": []},
        {"options": {"1": "c"}, "packages": [1], "accept_removed": []},
        {"options": {"1": "c"}, "packages": [], "accept_removed": None},
    ],
)
def test_a_damaged_request_is_no_request(stored: Any) -> None:
    with pytest.raises(RecordError, match="damaged"):
        Request.from_json(stored)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "empty"),
        ({"4": "c"}, "cloud-manager-trusted"),
        ({"2": "c", "5": "i"}, "introspection-conflict"),
        ({"9": "c"}, "unknown-option"),
        ({"1": ""}, "unknown-aspect"),
        ({"1": "ic:"}, "unknown-aspect"),
    ],
)
def test_a_stored_request_cannot_ask_for_more_than_a_new_one(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        Request.from_json({"options": options, "packages": [], "accept_removed": []})
    assert caught.value.reason.value == reason
