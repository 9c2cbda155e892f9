"""The command line that a run's manifest keeps: results are passed on, and passwords must not be."""

from __future__ import annotations

import pytest

from harness.registry.url import without_secrets


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
        ("postgresql://db/r?pass%77ord=secret&x=1", "postgresql://db/r?pass%77ord=***&x=1"),
        ("postgresql://db/r?PASSWORD=a secret", "postgresql://db/r?PASSWORD=***"),
        ("postgresql://db/r?conninfo=password%3Dsecret", "postgresql://db/r?conninfo=***"),
        ("postgresql://db/r?scram_client_key=secret", "postgresql://db/r?scram_client_key=***"),
        ("postgresql://db/r?oauth_client_secret=secret", "postgresql://db/r?oauth_client_secret=***"),
        ("postgresql://db/r?passfile=/home/lee/.pgpass", "postgresql://db/r?passfile=/home/lee/.pgpass"),
        ("postgresql://lee ray:secret@db/r", "postgresql://lee ray:***@db/r"),
        ("postgresql://lee:sec\nret@db/r", "postgresql://lee:***@db/r"),
        ("postgresql://lee:secret@db/r?user=a@b&password=secret", "postgresql://lee:***@b&password=***"),
        ("a=b&password=c", "a=b&password=c"),
    ],
)
def test_no_password_of_a_url_is_kept(given: str, kept: str) -> None:
    assert without_secrets(given) == kept
