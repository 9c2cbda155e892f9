"""SECURITY.md and the threat model name every limit that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "limit",
    [
        *(
            "Relay",
            "Place of a guest",
            "Revocation",
            "Option 2 with option 7",
            "Migrations that are not",
            "OCSP",
        ),
        *("What Ansible reads", "The run of another", "Other users of a rig's machines"),
        *("Constraints of a PostgreSQL server", "Files that are not measured"),
    ],
)
def test_a_limit_is_named(limit: str) -> None:
    assert limit in (ROOT / "docs/threat-model.md").read_text()


def test_security_leads_to_the_threat_model() -> None:
    assert "docs/threat-model.md" in (ROOT / "SECURITY.md").read_text()
