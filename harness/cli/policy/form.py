"""`sodbench policy form`: the form of a request for an OpenStack dashboard."""

from __future__ import annotations

import json

import typer

from harness.cli.policy import inputs as policy_inputs
from harness.cli.policy.inputs import Files
from harness.policy.nova.metadef import namespace


def form(files: Files = None) -> None:
    """Write the form of a request as a namespace of OpenStack's metadata definitions, in JSON.

    Posted to the image service (`POST /v2/metadefs/namespaces`), it appears in the dashboard's Launch
    Instance; what a customer answers there is the server's metadata (docs/openstack.md).
    """
    typer.echo(json.dumps(namespace(policy_inputs.table(files)), indent=2))
