"""Response policies as files: YAML becomes a model, or one error that names all that is wrong.

Reading touches nothing but the file. Shipped policies are found by their names, as appraisal policies are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import resources
from harness.errors import InputFileError, UsageError
from harness.response.policy import ResponsePolicy
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import parse, read_text

FOLDER = "policies/response"
"""Where the shipped ones lie, from a clone's root."""


class ResponsePolicyError(InputFileError):
    """A file with a response policy is wrong; nothing was touched."""

    kind = "response-policy"


def load(path: Path) -> ResponsePolicy:
    """The response policy stored at `path`.

    Raises:
        InputFileError: The file cannot be read; as :class:`ResponsePolicyError`: something in it is wrong.
    """
    return policy(read_text(path), str(path))


def policy(text: str, where: str) -> ResponsePolicy:
    """The response policy in `text`; `where` is the file's name in messages. See :func:`load`."""
    result, problems = validated(ResponsePolicy, parse(text))
    if result is None:
        raise refusal(problems, where, ResponsePolicyError, "no response was begun")
    return result


def locate(asked: str) -> Path:
    """The response policy that a person names: a file, or a shipped one by its name.

    Raises:
        UsageError: There is neither.
    """
    shipped = resources.locate(FOLDER)
    found = resources.chosen(asked, shipped)
    if found is None:
        raise UsageError("no such response policy", where=asked, remedy=resources.unmet(asked, shipped))
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a response policy's file, for editors."""
    return file_schema(ResponsePolicy)
