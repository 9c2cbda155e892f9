"""Tests are shared out by file, by folder where fixtures are costly, and the longest begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import sharing

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("tests/policy/test_server.py::test_a", "tests/policy/test_server.py::test_b[x::y]", True),
        ("tests/policy/test_server.py::test_a", "tests/policy/test_fleet.py::test_a", False),
        ("tests/report/test_html.py::test_a", "tests/report/test_build.py::test_b", True),
    ],
)
def test_what_shares_fixtures_stays_in_one_process(
    one: str, other: str, together: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request.config.option, "tx", ["popen"])
    scheduler = sharing.ByFile(request.config)
    assert (scheduler._split_scope(one) == scheduler._split_scope(other)) is together


def test_builders_of_the_lab_and_the_longest_begin_and_the_others_keep_their_order() -> None:
    files = [
        "tests/policy/a.py::x",
        "tests/report/b.py::x",
        "tests/docs/a.py::x",
        "tests/lab/test_lifecycle.py::x",
    ]
    assert sorted(files, key=sharing.rank) == [files[3], files[1], files[0], files[2]]


def test_each_place_of_the_long_ones_is_there() -> None:
    assert all((ROOT / place).exists() for place in (*sharing.BUILDERS, *sharing.LONGEST, *sharing.TOGETHER))
