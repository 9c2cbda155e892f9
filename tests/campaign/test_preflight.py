from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.preflight import MUST_AGREE, problems
from harness.json_types import Json

HOST: Mapping[str, Json] = {
    "cpu_model": "A CPU",
    "cpu_flags_hash": "f00d",
    "kernel": "6.1.0-30-amd64",
    "qemu_version": "7.2.15",
    "libvirt_version": "9.0.0",
    "storage_id": "5d0be4c0",
    "storage_free_bytes": 10 * 10**9,
}
NEED = 5 * 10**9


def judged(a: Mapping[str, Json], b: Mapping[str, Json]) -> list[str]:
    return [str(problem) for problem in problems({"a": a, "b": b}, storage_need_bytes=NEED, needs={})]


def test_two_hosts_that_agree_and_have_room_can_carry_the_campaign() -> None:
    assert judged(HOST, HOST) == []


@pytest.mark.parametrize(("name", "title"), MUST_AGREE)
def test_a_difference_is_named_with_both_values(name: str, title: str) -> None:
    (text,) = judged(HOST, {**HOST, name: "something else"})
    assert text.startswith(f"hosts a and b: {title} differs: {HOST[name]} on a, something else on b")


@pytest.mark.parametrize(("name", "title"), MUST_AGREE)
@pytest.mark.parametrize("unknown", [None, ""])
def test_what_is_unknown_on_both_hosts_is_not_agreement(name: str, title: str, unknown: Json) -> None:
    bare = {**HOST, name: unknown}
    (text,) = judged(bare, bare)
    assert text.startswith(f"host a, b: {title} unknown")


def test_a_storage_that_is_not_the_same_is_not_shared() -> None:
    (text,) = judged(HOST, {**HOST, "storage_id": "another"})
    assert "not seen to be shared" in text


def test_a_storage_without_its_marker_on_both_hosts_is_not_shared() -> None:
    bare = {**HOST, "storage_id": None}
    assert any("not seen to be shared" in text for text in judged(bare, bare))


@pytest.mark.parametrize(
    ("free", "text"),
    [
        (4_900_000_000, "host b: 4.9 GB free on the storage, 5.0 GB needed"),
        (None, "host b: free space on the storage unknown"),
        ("10 GB", "host b: free space on the storage unknown"),
    ],
)
def test_too_little_or_unknown_room_is_a_problem(free: Json, text: str) -> None:
    (found,) = judged(HOST, {**HOST, "storage_free_bytes": free})
    assert found.startswith(text)


def test_exactly_enough_room_is_enough() -> None:
    assert judged(HOST, {**HOST, "storage_free_bytes": NEED}) == []


@given(lost=st.sets(st.sampled_from(sorted(HOST)), min_size=1), host=st.sampled_from("ab"))
def test_a_missing_fact_is_always_a_problem_and_each_has_a_remedy(lost: set[str], host: str) -> None:
    bare = {name: value for name, value in HOST.items() if name not in lost}
    found = problems({"a": HOST, "b": HOST, host: bare}, storage_need_bytes=NEED, needs={})
    assert found
    assert all(problem.where and problem.what and problem.remedy for problem in found)


def test_without_any_facts_everything_is_a_problem() -> None:
    assert len(problems({}, storage_need_bytes=0, needs={})) == len(MUST_AGREE) + 3


@pytest.mark.parametrize("name", sorted(HOST))
def test_every_fact_asked_for_is_one_the_playbook_gathers(name: str) -> None:
    root = Path(__file__).parents[2]
    assert f'"{name}"' in (root / "playbooks/roles/verify/files/machine_facts.py").read_text()


@pytest.mark.parametrize("client", [{}, {"generators": {"locust": None}}, {"generators": "none"}])
def test_a_generator_that_is_not_installed_is_named_with_its_workload(client: Mapping[str, Json]) -> None:
    facts = {"a": HOST, "b": HOST, "client": client}
    (found,) = problems(facts, storage_need_bytes=NEED, needs={"web": ("locust",), "idle": ()})
    assert (found.where, "locust" in found.what, "web" in found.what) == ("client", True, True)


def test_a_generator_from_an_archive_says_how_it_is_named() -> None:
    facts = {"a": HOST, "b": HOST, "client": {"generators": {"locust": "2.32.4", "mstone": None}}}
    (found,) = problems(facts, storage_need_bytes=NEED, needs={"web": ("locust",), "mail": ("mstone",)})
    assert "sodbench_mstone_archive" in found.remedy


def test_generators_that_are_installed_are_no_problem() -> None:
    facts = {"a": HOST, "b": HOST, "client": {"generators": {"locust": "2.32.4"}}}
    assert not problems(facts, storage_need_bytes=NEED, needs={"web": ("locust",)})


END = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"migration_certificate_until": "2026-11-28T12:00:01+00:00"}, None),
        ({"migration_certificate_until": "2026-11-28T11:59:59+00:00"}, "before the campaign does"),
        ({"reasons": {"migration_certificate_until": "the certificate is not yet valid"}}, "not yet valid"),
        ({}, "no certificate"),
    ],
)
def test_certificates_must_last_to_the_end_of_a_campaign_that_encrypts(
    own: Mapping[str, Json], said: str | None
) -> None:
    lasting: Mapping[str, Json] = {"migration_certificate_until": "2027-11-28T12:00:00+00:00"}
    facts = {"a": {**HOST, **lasting}, "b": {**HOST, **own}}
    found = problems(facts, storage_need_bytes=NEED, needs={}, encrypted_until=END)
    assert [one.where for one in found] == ([] if said is None else ["host b"])
    assert all(str(said) in one.what for one in found)
    assert not problems(facts, storage_need_bytes=NEED, needs={})
