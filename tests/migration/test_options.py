from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.migration.options import MigrationOptions, conflicts


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"mode": "post-copy", "post_copy_after_s": 2},
        {"mode": "post-copy", "xbzrle": True},
        {"xbzrle": True, "xbzrle_cache_mib": 64},
        {"parallel_connections": 4, "auto_converge": True, "auto_converge_initial_percent": 20},
        {"downtime_limit_ms": 30, "bandwidth_mib_s": 32},
    ],
)
def test_supported_combinations_name_nothing(given: dict[str, object]) -> None:
    assert list(conflicts(MigrationOptions.model_validate(given))) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"post_copy_after_s": 2}, ["post_copy_after_s without mode: post-copy"]),
        ({"auto_converge_initial_percent": 20}, ["auto_converge_initial_percent without auto_converge"]),
        ({"auto_converge_increment_percent": 5}, ["auto_converge_increment_percent without auto_converge"]),
        ({"xbzrle_cache_mib": 64}, ["xbzrle_cache_mib without xbzrle"]),
        ({"xbzrle": True, "xbzrle_cache_mib": 48}, ["48 is not a power of two"]),
        ({"bandwidth_mib_s": 0}, ["bandwidth_mib_s: 0 is not a speed"]),
        (
            {"mode": "post-copy", "parallel_connections": 2, "xbzrle": True},
            ["parallel_connections with mode: post-copy", "parallel_connections with xbzrle"],
        ),
    ],
)
def test_each_unsupported_combination_is_named(given: dict[str, object], named: list[str]) -> None:
    found = [text for _, text in conflicts(MigrationOptions.model_validate(given))]
    assert len(found) == len(named)
    for text, fragment in zip(found, named, strict=True):
        assert fragment in text


@pytest.mark.parametrize(
    "given",
    [
        {"parallel_connections": 256},
        {"downtime_limit_ms": 0},
        {"auto_converge_initial_percent": 100},
        {"xbzrle": 1},
        {"post_copy_after_s": float("nan")},
        {"tunnelled": True},
    ],
)
def test_values_outside_the_hypervisors_range_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MigrationOptions.model_validate(given)
