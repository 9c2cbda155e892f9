"""The form: every answer that it can give is understood, and the image service takes it."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from typing import Any, cast

import pytest

from harness.policy.capability_file import load_table
from harness.policy.nova.metadata import _KNOWN, MetadataRefusedError, from_metadata
from harness.policy.nova.metadef import namespace
from harness.policy.request import RequestReason, RequestRefusedError
from tests.skips import NOVA, with_nova

FORM = cast("dict[str, Any]", namespace(load_table()))
PROPERTIES: dict[str, Any] = FORM["properties"]
OPTION_ONE = {"sod_option_1": "true"}


def test_it_asks_every_question_and_no_other() -> None:
    assert set(PROPERTIES) == _KNOWN
    assert FORM["resource_type_associations"] == [
        {"name": "OS::Nova::Server", "properties_target": "metadata"}
    ]


@pytest.mark.parametrize("key", PROPERTIES)
def test_every_answer_is_understood(key: str) -> None:
    question = PROPERTIES[key]
    answers = question["enum"] if question["type"] == "string" else ["true", "false"]
    for value in answers:
        needed = {key.removesuffix("_only"): "true"} if key.endswith("_only") else OPTION_ONE
        try:
            assert from_metadata({**needed, key: value}) is not None
        except RequestRefusedError as refused:
            assert refused.reason in {RequestReason.CLOUD_MANAGER_TRUSTED, RequestReason.EMPTY}
        except MetadataRefusedError:
            assert (key, value) in {("sod_confidentiality", "false"), ("sod_integrity", "false")}


def test_no_two_boxes_are_taken_for_something_else() -> None:
    boxes = [key for key, one in PROPERTIES.items() if one["type"] == "boolean"]
    for pair in combinations(boxes, 2):
        try:
            found = from_metadata(dict.fromkeys(pair, "true"))
        except (RequestRefusedError, MetadataRefusedError):
            continue
        assert found is not None
        assert found.cells


def test_no_question_is_an_array_whose_operator_would_get_into_the_value() -> None:
    assert {one["type"] for one in PROPERTIES.values()} == {"boolean", "string"}


CHECK = """
import json, sys
from glance.api.v2 import metadef_namespaces
from glance.common import wsgi
body = sys.stdin.read().encode()
request = wsgi.Request.blank("/v2/metadefs/namespaces", method="POST", body=body)
reader = metadef_namespaces.RequestDeserializer(metadef_namespaces.get_schema())
taken = reader.create(request)["namespace"]
target = taken.resource_type_associations[0].properties_target
print(json.dumps([taken.namespace, len(taken.properties), target]))
"""


@pytest.mark.programs
@with_nova
def test_the_image_service_takes_it() -> None:
    done = subprocess.run(
        [str(NOVA / "bin/python"), "-W", "ignore", "-c", CHECK],
        input=json.dumps(FORM),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [FORM["namespace"], len(PROPERTIES), "metadata"]
