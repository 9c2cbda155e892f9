"""Service level agreements as files: YAML becomes a model, or one error that names all that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import InputFileError
from harness.pvi.sla import Agreement
from harness.yaml_model import file_schema, refusal, validated
from harness.yaml_source import parse, read_text


class AgreementError(InputFileError):
    """A file with a service level agreement is wrong; nothing was checked."""

    kind = "agreement"


def load(path: Path) -> Agreement:
    """The agreement stored at `path`.

    Raises:
        InputFileError: The file cannot be read; as :class:`AgreementError`: something in it is wrong.
    """
    return agreement(read_text(path), str(path))


def agreement(text: str, where: str) -> Agreement:
    """The agreement in `text`; `where` is the file's name in messages. See :func:`load`."""
    result, problems = validated(Agreement, parse(text))
    if result is None:
        raise refusal(problems, where, AgreementError, "nothing was checked")
    return result


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an agreement's file, for editors."""
    return file_schema(Agreement)
