"""What `sodbench respond` refuses before it looks for a rig."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.processes import in_pipe


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--scenario", "violatoin"), "did you mean 'violation'?"),
        (("--workload", "flie"), "did you mean 'file'?"),
        (("--interval", "-1"), "--interval"),
        (("--count", "0"), "--count"),
    ],
)
def test_a_wrong_option_is_told_as_an_option(tmp_path: Path, given: tuple[str, str], named: str) -> None:
    said = in_pipe("respond", *given, "--inventory", tmp_path / "none.yml")
    assert said.code == 2
    assert named in said.err
    assert "correct it" not in said.err
