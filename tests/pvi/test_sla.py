"""What a provider promises against what is required, and against what was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attest.reasons import SILENT, Reason, Tier
from harness.clock import NS_PER_S
from harness.pvi import sla_file
from harness.pvi.sla import Agreement, Answer, Kept, ResponseSeen, ServerSeen, Terms, gaps, held
from harness.pvi.sla_file import AgreementError

NOW_NS = 1_000_000 * NS_PER_S

FILE = """
version: 1
name: shop
servers: [a, b]
window_s: 7200
promises:
  properties: {architecture_type: HyperWall}
  evidence_age_s: 600
  probes_per_hour: 2
  answered_percent: 90
  response_s: 60
requires:
  evidence_age_s: 900
"""


def _agreement(
    promises: Terms, requires: Terms | None = None, servers: tuple[str, ...] = ("a",)
) -> Agreement:
    return Agreement(
        version=1,
        name="shop",
        servers=servers,
        window_s=7200,
        promises=promises,
        requires=requires or Terms(),
    )


def _answers(*ages_s: float, tier: Tier = Tier.AFFIRMING, reason: str = Reason.ACCEPTED) -> list[Answer]:
    return [Answer(at_ns=NOW_NS - round(age * NS_PER_S), tier=tier, reason=reason) for age in ages_s]


def _kept(promises: Terms, answers: list[Answer], **properties: str) -> tuple[Kept, str]:
    """What comes of the one promise for a server with that evidence."""
    server = ServerSeen(name="a", answers=answers, properties=properties)
    (only,) = held(_agreement(promises), [server], [], now_ns=NOW_NS)
    return only.kept, only.found


@pytest.mark.parametrize(
    ("answers", "kept", "found"),
    [
        (_answers(700, 600), Kept.KEPT, "600.0 s"),
        (_answers(600.1), Kept.BROKEN, "600.1 s"),
        (_answers(10, tier=Tier.WARNING), Kept.BROKEN, "none was accepted"),
        (_answers(10, tier=Tier.CONTRAINDICATED, reason="pcr-value"), Kept.BROKEN, "none was accepted"),
        (_answers(10, tier=Tier.NONE, reason="timed-out"), Kept.BROKEN, "none was accepted"),
        (_answers(7201), Kept.UNKNOWN, ""),
        (_answers(-1), Kept.UNKNOWN, ""),
        ([], Kept.UNKNOWN, ""),
    ],
)
def test_the_newest_accepted_attestation_may_be_so_old(answers: list[Answer], kept: Kept, found: str) -> None:
    assert _kept(Terms(evidence_age_s=600), answers) == (kept, found)


def test_a_warning_counts_where_it_is_agreed() -> None:
    terms = Terms(evidence_age_s=600, warning_counts=True)
    assert _kept(terms, _answers(10, tier=Tier.WARNING))[0] is Kept.KEPT


@pytest.mark.parametrize(
    ("refusals", "silences", "kept", "found"),
    [(1, 1, Kept.KEPT, "90.0 % (9 of 10)"), (1, 2, Kept.BROKEN, "81.8 % (9 of 11)")],
)
def test_a_refused_quote_is_an_answer_and_silence_is_not(
    refusals: int, silences: int, kept: Kept, found: str
) -> None:
    answers = _answers(*range(8)) + _answers(*[1.0] * refusals, tier=Tier.CONTRAINDICATED, reason="pcr-value")
    answers += _answers(*[1.0] * silences, tier=Tier.NONE, reason=Reason.TIMED_OUT)
    assert _kept(Terms(answered_percent=90), answers) == (kept, found)
    assert _kept(Terms(answered_percent=90), []) == (Kept.UNKNOWN, "")


def test_every_reason_without_an_answer_counts_against_the_provider() -> None:
    own = {Reason.NOTHING_APPRAISED, Reason.NOT_ENROLLED, Reason.STATE_CONFLICT}
    for reason in Reason:
        answers = _answers(1, tier=Tier.NONE, reason=reason)
        silent = reason in SILENT - own
        assert _kept(Terms(answered_percent=1), answers)[0] is (Kept.BROKEN if silent else Kept.KEPT)


@pytest.mark.parametrize(
    ("asked", "silent", "kept"),
    [
        ((0, 1, 3599), (), Kept.KEPT),
        ((0, 3600, 7200), (), Kept.UNKNOWN),  # no two in one hour
        ((0, 1), (2,), Kept.BROKEN),
        ((0, 1), (), Kept.UNKNOWN),
    ],
)
def test_probing_rights_are_judged_by_the_busiest_hour(
    asked: tuple[int, ...], silent: tuple[int, ...], kept: Kept
) -> None:
    answers = _answers(*asked) + _answers(*silent, tier=Tier.NONE, reason=Reason.ATTESTER_UNREACHABLE)
    assert _kept(Terms(probes_per_hour=3), answers)[0] is kept


@given(st.lists(st.integers(0, 7200), max_size=12), st.integers(1, 5))
def test_the_busiest_hour_is_the_busiest(ages: list[int], least: int) -> None:
    most = max((sum(at <= other < at + 3600 for other in ages) for at in ages), default=0)
    kept, _ = _kept(Terms(probes_per_hour=least), _answers(*ages))
    assert kept is (Kept.KEPT if most >= least else Kept.UNKNOWN)


def test_a_property_is_what_the_server_states() -> None:
    terms = Terms(properties={"architecture_type": "HyperWall"})
    assert _kept(terms, [], architecture_type="HyperWall") == (Kept.KEPT, "HyperWall")
    assert _kept(terms, [], architecture_type="NoHype") == (Kept.BROKEN, "NoHype")
    assert _kept(terms, [], other="HyperWall") == (Kept.UNKNOWN, "")


@pytest.mark.parametrize(
    ("began_s", "ended_s", "kept"),
    [
        (100, 40, Kept.KEPT),
        (100, 39, Kept.BROKEN),
        (60, None, Kept.UNKNOWN),
        (61, None, Kept.BROKEN),
        (40, 100, Kept.UNKNOWN),
    ],
)
def test_a_response_ends_in_time(began_s: int, ended_s: int | None, kept: Kept) -> None:
    response = ResponseSeen(
        number=3,
        vm="vm-1",
        began_ns=NOW_NS - began_s * NS_PER_S,
        ended_ns=None if ended_s is None else NOW_NS - ended_s * NS_PER_S,
    )
    (only,) = held(_agreement(Terms(response_s=60)), [], [response], now_ns=NOW_NS)
    assert (only.about, only.kept) == ("response 3 of vm-1", kept)
    assert held(_agreement(Terms()), [], [response], now_ns=NOW_NS) == ()


def test_a_server_without_evidence_is_unknown_in_every_promise() -> None:
    agreement = sla_file.agreement(FILE, "sla.yml")
    found = held(agreement, [], [], now_ns=NOW_NS)
    assert {one.about for one in found} == {"a", "b"}
    assert len(found) == 8
    assert {one.kept for one in found} == {Kept.UNKNOWN}


@pytest.mark.parametrize(
    ("requires", "promises", "gap"),
    [
        ({"evidence_age_s": 900}, {"evidence_age_s": 900}, []),
        ({"evidence_age_s": 900}, {"evidence_age_s": 901}, ["evidence_age_s"]),
        ({"evidence_age_s": 900}, {}, ["evidence_age_s"]),
        ({"response_s": 9}, {"response_s": 8}, []),
        ({"response_s": 9}, {"response_s": 10}, ["response_s"]),
        ({"probes_per_hour": 9}, {"probes_per_hour": 9}, []),
        ({"probes_per_hour": 9}, {"probes_per_hour": 8}, ["probes_per_hour"]),
        ({"answered_percent": 9}, {}, ["answered_percent"]),
        ({"properties": {"x": "y"}}, {"properties": {"x": "y"}}, []),
        ({"properties": {"x": "y"}}, {"properties": {"x": "z"}}, ["properties.x"]),
        ({"evidence_age_s": 9}, {"evidence_age_s": 9, "warning_counts": True}, ["warning_counts"]),
        ({}, {"evidence_age_s": 9, "warning_counts": True}, []),
    ],
)
def test_what_is_required_and_promised_less_is_a_gap(
    requires: dict[str, object], promises: dict[str, object], gap: list[str]
) -> None:
    agreement = _agreement(Terms.model_validate(promises), Terms.model_validate(requires))
    assert [one.promise for one in gaps(agreement)] == gap


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: 2", "version"),
        ("[a, b]", "[]", "servers"),
        ("[a, b]", '["a b"]', "servers"),
        ("response_s: 60", "response_s: 0", "response_s"),
        ("response_s: 60", "response_s: .inf", "response_s"),
        ("response_s: 60", "respond_s: 60", "respond_s"),
        ("answered_percent: 90", "answered_percent: 101", "answered_percent"),
        ("HyperWall", "[1]", "architecture_type"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    assert old in FILE
    with pytest.raises(AgreementError, match=said) as refused:
        sla_file.agreement(FILE.replace(old, new), "sla.yml")
    assert "sla.yml:" in str(refused.value)
