"""Paths in a guest, as campaigns name them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_ABSOLUTE = re.compile(r"/[^\x00-\x1f\x7f]*")


def _absolute(value: str) -> str:
    if _ABSOLUTE.fullmatch(value) is None:
        raise PydanticCustomError("guest_path", "a path that begins with a slash, without control characters")
    return value


GuestPath = Annotated[str, AfterValidator(_absolute)]
"""An absolute path. One that began with a hyphen would be an option of the program that is handed it."""
