"""The form of a request, as the image service's metadata definitions describe it to the dashboard.

Posted to ``/v2/metadefs/namespaces``, the namespace becomes a form in *Launch Instance > Metadata* without
any code: a boolean is a box, an enum a list. No question has the type ``array``: the dashboard would write an
operator into its value.
"""

from __future__ import annotations

from harness.json_types import Json
from harness.policy.capability import Capability, Table
from harness.policy.nova.metadata import ACCEPT_KEY, ASPECT_KEYS, ONLY, ONLY_KEYS, OPTION_KEYS, PACKAGE_KEYS
from harness.policy.packages import PACKAGES
from harness.policy.request import CLOUD_MANAGER_OPTION
from harness.policy.threats import MEANINGS, OPTIONS, Aspect

NAMESPACE = "OS::Sodbench::Security"
"""The namespace's name; the image service knows it by it."""


def namespace(table: Table) -> dict[str, Json]:
    """The namespace, as it is posted.

    Args:
        table: The known architectures; those that remove something at run time can be accepted.
    """
    return {
        "namespace": NAMESPACE,
        "display_name": "Security on demand",
        "description": "From whom the server is protected. What is asked for is kept, or it does not start.",
        "visibility": "public",
        "protected": True,
        "resource_type_associations": [{"name": "OS::Nova::Server", "properties_target": "metadata"}],
        "properties": {**_options(), **_aspects(), **_packages(), **_accepted(table)},
    }


def _boolean(title: str, description: str) -> dict[str, Json]:
    # The box is ticked when the question is added: an added one without an answer would be written as 'null'.
    return {"type": "boolean", "title": title, "description": description, "default": True}


def _options() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for number, entity in OPTIONS.items():
        meaning = f"Protect the server from {MEANINGS[entity]}."
        if number == CLOUD_MANAGER_OPTION:
            meaning += (
                " Not offered: the cloud manager itself is trusted. A server that asks for it is refused."
            )
        found[OPTION_KEYS[number]] = _boolean(f"Option {number}: {entity.value.replace('_', ' ')}", meaning)
        found[ONLY_KEYS[number]] = {
            "type": "string",
            "title": f"Option {number}: one aspect alone",
            "description": f"Option {number} protects this alone. Without it, what the others protect.",
            "enum": list(ONLY),
        }
    return found


def _aspects() -> dict[str, Json]:
    meanings = {Aspect.CONFIDENTIALITY: "nothing is read", Aspect.INTEGRITY: "nothing is altered"}
    return {
        key: _boolean(
            f"Protect {aspect.name.lower()}",
            f"The options see that {meanings[aspect]}. Without this question and the other, both hold.",
        )
        for aspect, key in ASPECT_KEYS.items()
    }


def _packages() -> dict[str, Json]:
    return {
        key: _boolean(
            f"Package: {name}", f"Options {', '.join(PACKAGES[name].options)}, for {PACKAGES[name].meaning}."
        )
        for name, key in PACKAGE_KEYS.items()
    }


def _accepted(table: Table) -> dict[str, Json]:
    removing = [name for name, one in table.items() if one.having(Capability.REMOVED)]
    if not removing:
        return {}
    described = "What this architecture removes while the server runs counts as protection from it."
    return {
        ACCEPT_KEY: {
            "type": "string",
            "title": "Accept removed",
            "description": described,
            "enum": list(removing),
        }
    }
