"""The command line that a run's manifest keeps: results are passed on, and passwords must not be."""

from __future__ import annotations

import pytest

from harness.cli.run import without_passwords


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("campaigns/paper.yml", "campaigns/paper.yml"),
        ("sqlite:////var/lib/sodbench/registry.sqlite", "sqlite:////var/lib/sodbench/registry.sqlite"),
        ("postgresql://lee@db/registry", "postgresql://lee@db/registry"),
        ("postgresql://lee:secret@db/registry", "postgresql://lee:***@db/registry"),
        (
            "--registry=postgresql+psycopg://lee:s:e@c/ret@db:5432/r",
            "--registry=postgresql+psycopg://lee:***@db:5432/r",
        ),
        ("postgresql://db/r?user=lee&password=secret&x=1", "postgresql://db/r?user=lee&password=***&x=1"),
        ("postgresql://db/r?sslpassword=secret", "postgresql://db/r?sslpassword=***"),
    ],
)
def test_no_password_of_a_url_is_kept(given: str, kept: str) -> None:
    assert without_passwords(given) == kept
