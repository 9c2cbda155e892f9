"""Policies and reference values as files: YAML becomes a model, or one error that names all that is wrong.

Reading touches nothing but the file. Whether a policy fits a set of reference values is a question of its own
(:func:`harness.attest.reference.policy.contradictions`), as either file may be used with others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from harness import json_source
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, contradictions
from harness.errors import InputFileError
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import Source, parse, read_text

Model = TypeVar("Model", bound=BaseModel)

MAX_REFERENCE_CHARS = 64_000_000
"""Of reference values in JSON: some 400,000 measured files, read in seconds. More is not written either."""
MAX_YAML_CHARS = 4_000_000
"""Of reference values in other YAML, which takes some hundred times as long."""

_HINT = "nothing was asked of any machine"


class AppraisalFileError(InputFileError):
    """A file with an appraisal policy or with reference values is wrong; nothing was touched."""

    kind = "appraisal-file"


def load_policy(path: Path) -> AppraisalPolicy:
    """The appraisal policy stored at `path`.

    Raises:
        InputFileError: The file cannot be read; as :class:`AppraisalFileError`: something in it is wrong.
    """
    return policy(read_text(path), str(path))


def load_reference(path: Path) -> ReferenceValues:
    """The reference values stored at `path`.

    Raises:
        InputFileError: The file cannot be read; as :class:`AppraisalFileError`: something in it is wrong.
    """
    return reference(read_text(path, MAX_REFERENCE_CHARS), str(path))


def policy(text: str, where: str) -> AppraisalPolicy:
    """The appraisal policy in `text`; `where` is the file's name in messages. See :func:`load_policy`."""
    return _model(AppraisalPolicy, parse(text), where)


def reference(text: str, where: str) -> ReferenceValues:
    """The reference values in `text`; `where` is the file's name in messages. See :func:`load_reference`."""
    return _model(ReferenceValues, json_source.parse(text, MAX_YAML_CHARS), where)


def matched(policy: AppraisalPolicy, reference: ReferenceValues, where: str) -> None:
    """Refuse a policy that wants checked what these reference values have nothing for.

    Raises:
        AppraisalFileError: Evidence could never be accepted; `where` names the two files.
    """
    found = contradictions(policy, reference)
    if found:
        raise AppraisalFileError(
            f"the policy {policy.name!r} cannot be met with these reference values",
            where=where,
            why="; ".join(found),
            remedy="add the reference values, or write ignore in the policy for what need not be checked",
        )


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a policy file, for editors."""
    return file_schema(AppraisalPolicy)


def reference_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a file of reference values, for editors."""
    return file_schema(ReferenceValues)


def _model(model: type[Model], source: Source, where: str) -> Model:
    result, problems = validated(model, source)
    if result is None:
        raise refusal(problems, where, AppraisalFileError, _HINT)
    return result
