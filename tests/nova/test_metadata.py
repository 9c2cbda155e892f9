"""A request in a server's metadata: there and back, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.policy.nova.metadata import (
    ACCEPT_KEY,
    ANSWER_KEYS,
    ASPECT_KEYS,
    MOST_CHARACTERS,
    ONLY_KEYS,
    OPTION_KEYS,
    PACKAGE_KEYS,
    MetadataReason,
    MetadataRefusedError,
    answer,
    asks,
    from_metadata,
    to_metadata,
)
from harness.policy.packages import PACKAGES
from harness.policy.request import Request, RequestReason, RequestRefusedError, request
from harness.policy.threats import BOTH, OPTIONS, Aspect

ASPECTS = st.sampled_from(["", ":c", ":i", ":ci"])
OPTION_TEXTS = st.builds("{}{}".format, st.sampled_from(sorted(OPTIONS)), ASPECTS)
NOVA_KEY = r"[a-zA-Z0-9-_:. ]{1,255}"


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request that can be kept."""
    options = draw(st.lists(OPTION_TEXTS, max_size=5))
    packages = draw(st.lists(st.sampled_from(sorted(PACKAGES)), unique=True, max_size=2))
    try:
        return request(options, packages, draw(st.lists(st.sampled_from(["NoHype", "Own Box"]), unique=True)))
    except RequestRefusedError:
        return request(["1:i", "7"])


@given(requests())
def test_a_request_goes_there_and_comes_back(asked: Request) -> None:
    found = to_metadata(asked)
    back = from_metadata(found)
    assert back is not None
    assert (back.options, back.accept_removed) == (asked.options, asked.accept_removed)
    assert set(back.packages) == set(asked.packages)
    assert to_metadata(back) == found
    assert all(re.fullmatch(NOVA_KEY, key) and len(value) <= MOST_CHARACTERS for key, value in found.items())


WORDS = st.text("sodSOD_option_1-: truе", max_size=14)


@given(st.dictionaries(WORDS, WORDS, max_size=3))
def test_metadata_of_others_ask_for_nothing_and_never_raise_anything_else(
    metadata: Mapping[str, str],
) -> None:
    try:
        found = from_metadata(metadata)
    except (MetadataRefusedError, RequestRefusedError):
        assert asks(metadata)
    else:
        assert found is None or asks(metadata)


@given(requests(), st.sampled_from(["true", "True"]))
def test_a_packages_later_change_weakens_nothing(asked: Request, yes: str) -> None:
    kept = {key: yes if value == "true" else value for key, value in to_metadata(asked).items()}
    without = {key: value for key, value in kept.items() if key not in PACKAGE_KEYS.values()}
    found, plain = from_metadata(kept), from_metadata(without)
    assert found is not None
    assert plain is not None
    assert plain.cells == found.cells == asked.cells


@pytest.mark.parametrize(
    ("metadata", "options"),
    [
        ({"sod_option_1": "true"}, {1: BOTH}),
        ({"sod_option_1": "True", "sod_option_2": "false"}, {1: BOTH}),
        ({"sod_option_1": "true", "sod_integrity": "true"}, {1: {Aspect.INTEGRITY}}),
        (
            {"sod_option_1": "true", "sod_confidentiality": "false", "sod_integrity": "true"},
            {1: {Aspect.INTEGRITY}},
        ),
        (
            {"sod_option_1": "true", "sod_option_3": "true", "sod_option_3_only": "confidentiality"},
            {1: BOTH, 3: {Aspect.CONFIDENTIALITY}},
        ),
        ({"sod_package_public-service": "true"}, {1: {Aspect.INTEGRITY}}),
        ({"sod_option_1": "true", "sod_status": "refused", "sod_reason": "of before"}, {1: BOTH}),
    ],
)
def test_what_the_form_writes_is_understood(
    metadata: Mapping[str, str], options: Mapping[int, frozenset[Aspect]]
) -> None:
    found = from_metadata(metadata)
    assert found is not None
    assert found.options == options


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"sod_option_1": "1"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_1": "TRUE"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_1": " true"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_1": "ｔｒｕｅ"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_1": "<in> true"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_1": "null"}, MetadataReason.NOT_CHOSEN),
        ({"sod_option_1": ""}, MetadataReason.NOT_CHOSEN),
        ({"SOD_OPTION_1": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod-option-1": "true"}, MetadataReason.UNKNOWN_KEY),
        ({" sod_option_1": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod:option:1": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod_option_8": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod_option_1": "true", "sod_optoin_2": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod_": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sodOption1": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sodpackage_basic": "true"}, MetadataReason.UNKNOWN_KEY),
        ({"sod_option_1": "true" * 80}, MetadataReason.TOO_LONG),
        ({f"sod_{number}": "true" for number in range(65)}, MetadataReason.TOO_LONG),
        ({"sod_option_1": "true", "sod_option_1_only": "both"}, MetadataReason.UNKNOWN_VALUE),
        ({"sod_option_2_only": "integrity"}, MetadataReason.CONTRADICTION),
        (
            {
                "sod_option_1": "true",
                "sod_option_1_only": "integrity",
                "sod_integrity": "false",
                "sod_confidentiality": "true",
            },
            MetadataReason.CONTRADICTION,
        ),
        (
            {"sod_option_1": "true", "sod_confidentiality": "false", "sod_integrity": "false"},
            MetadataReason.CONTRADICTION,
        ),
        ({"sod_confidentiality": "false", "sod_option_1": "true"}, MetadataReason.CONTRADICTION),
        ({"sod_package_basic": "true", "sod_integrity": "true"}, MetadataReason.CONTRADICTION),
        ({"sod_option_1": "true", "sod_accept_removed": "NoHype;"}, MetadataReason.UNKNOWN_VALUE),
    ],
)
def test_what_cannot_be_understood_is_refused(metadata: Mapping[str, str], reason: MetadataReason) -> None:
    with pytest.raises(MetadataRefusedError) as refused:
        from_metadata(metadata)
    assert refused.value.reason is reason
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"sod_option_1": "false"}, RequestReason.EMPTY),
        ({"sod_option_4": "true"}, RequestReason.CLOUD_MANAGER_TRUSTED),
        ({"sod_option_2": "true", "sod_option_5": "true"}, RequestReason.INTROSPECTION_CONFLICT),
        (
            {"sod_option_2": "true", "sod_package_medical-records": "true"},
            RequestReason.INTROSPECTION_CONFLICT,
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_as_everywhere(
    metadata: Mapping[str, str], reason: RequestReason
) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        from_metadata(metadata)
    assert refused.value.reason is reason
    told = answer(refused.value)
    assert told["sod_status"] == "refused"
    assert reason.value in told["sod_reason"]
    assert len(told["sod_reason"]) <= MOST_CHARACTERS
    assert set(told) == ANSWER_KEYS


@pytest.mark.parametrize(
    "metadata", [{}, {"name": "x"}, {"sodium": "1", "soda_option": "1"}, {"so_d": "1"}, dict(answer(None))]
)
def test_who_asks_for_nothing_is_not_concerned(metadata: Mapping[str, str]) -> None:
    assert from_metadata(metadata) is None


def test_more_architectures_than_a_value_holds_are_refused() -> None:
    many = request(["1"], accept_removed=[f"architecture {number}" for number in range(30)])
    with pytest.raises(MetadataRefusedError):
        to_metadata(many)


def test_no_two_questions_have_one_key() -> None:
    keys = [
        *OPTION_KEYS.values(),
        *ONLY_KEYS.values(),
        *ASPECT_KEYS.values(),
        *PACKAGE_KEYS.values(),
        ACCEPT_KEY,
    ]
    assert len({*keys, *ANSWER_KEYS}) == len(keys) + len(ANSWER_KEYS)
