"""The base of every model of what people write or programs store: frozen, strict, no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
"""How such a value is read; a dataclass has it as ``__pydantic_config__``, for all that is in it."""

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
"""A duration in s: more than nothing, at most a day."""


class Strict(BaseModel):
    """A frozen value whose keys are all known and whose types are not coerced."""

    model_config = STRICT
