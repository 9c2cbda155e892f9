"""`sodbench schema`: the campaign's JSON Schema, for editors and other tools."""

from __future__ import annotations

import json

import typer

from harness.campaign.file import json_schema


def schema() -> None:
    """Print the JSON Schema of a campaign file."""
    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))
