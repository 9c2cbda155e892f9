"""What is asked for a server, from Nova's own databases.

A RequestSpec carries no metadata. They are with the server: in its cell's database, or before its first start
with the build request in the API database. The scheduler can reach both.
"""

from __future__ import annotations

from collections.abc import Mapping

from nova import context as nova_context
from nova import objects

from harness.policy.nova.metadata import from_metadata
from harness.policy.request import Request
from sodbench_nova_filter.shapes import Spec


def metadata_of(server_id: str) -> Mapping[str, str]:
    """The metadata of a server, wherever it is at this moment.

    Raises:
        nova.exception.NovaException: Nova does not know the server, or cannot reach its cell.
        oslo_db.exception.DBError: A database does not answer.
    """
    context = nova_context.get_admin_context()
    mapping = objects.InstanceMapping.get_by_instance_uuid(context, server_id)
    if mapping.cell_mapping is None:
        return dict(objects.BuildRequest.get_by_instance_uuid(context, server_id).instance.metadata)
    with nova_context.target_cell(context, mapping.cell_mapping) as cell:
        found = objects.Instance.get_by_uuid(cell, server_id, expected_attrs=["metadata"])
        return dict(found.metadata)


def asked_of(spec: Spec) -> Request | None:
    """What is asked for the server of a RequestSpec; None where it asks for nothing.

    Raises:
        MetadataRefusedError: It asks in a way that cannot be understood.
        RequestRefusedError: It asks for what cannot be kept.
        nova.exception.NovaException: As :func:`metadata_of`.
        oslo_db.exception.DBError: Likewise.
    """
    return from_metadata(metadata_of(spec.instance_uuid))
