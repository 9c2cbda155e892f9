"""What pydantic says of stored or received data, in one sentence: for messages, journals and results.

Files that a person writes are told of in full, with their lines (:mod:`harness.yaml_model`). What a program
wrote is either right or damaged: the first mistake and the number of them say enough.
"""

from __future__ import annotations

from pydantic import ValidationError


def sentence(error: ValidationError) -> str:
    """The first mistake with its place, and how many there are; neither the input nor an address in it."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    more = f" ({error.error_count()} mistakes in all)" if error.error_count() > 1 else ""
    return f"{place}: {said}{more}" if place else f"{said}{more}"
