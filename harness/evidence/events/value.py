"""What every kind of event has in common: a frozen value, strict when it is made, lenient when it is read.

A value that a writer makes has every field, each of its type. An older version may have written a field less
or one more: a missing field that may be null is read as null, and an unknown one is left aside. Data that
lacks any other field, or has one of another type, is not read at all; readers give the reason where they
miss it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeAlias

from pydantic import GetPydanticSchema, ValidationError
from pydantic_core import core_schema

from harness.json_types import Json
from harness.strict import Strict

Number = Annotated[
    float,
    GetPydanticSchema(
        lambda _type, _handler: core_schema.union_schema(
            [core_schema.int_schema(strict=True), core_schema.float_schema(strict=True)]
        )
    ),
]
"""A number that stays what it is: a whole one is written and read without a fraction."""

if TYPE_CHECKING:
    Facts: TypeAlias = Mapping[str, Json]
else:  # pydantic would resolve the alias of JSON, which names itself
    Facts = Annotated[
        dict,
        GetPydanticSchema(
            lambda _type, _handler: core_schema.dict_schema(
                core_schema.str_schema(), core_schema.any_schema()
            )
        ),
    ]
"""What another program said, under its own names."""


class Value(Strict):
    """What one event says.

    A field that has a default is absent from the line while it has it; every other field is always written.
    The order of the fields is their order in the line.
    """

    KIND: ClassVar[str]
    """The kind of the event, from the vocabulary in ``docs/journal.md``."""
    OBSERVER: ClassVar[str]
    """Who says so."""

    @classmethod
    def read(cls, data: Mapping[str, Json]) -> Self | None:
        """What a stored event's `data` says, or None where that is not what events of this kind say."""
        given: dict[str, Json] = {name: data.get(name) for name in cls.model_fields if name in data}
        for name, field in cls.model_fields.items():
            if field.is_required():
                given.setdefault(name, None)
        try:
            return cls.model_validate(given)
        except ValidationError:
            return None

    def to_data(self) -> dict[str, Json]:
        """The event's data as the journal keeps it."""
        return self.model_dump(exclude_defaults=True)


class OfGuest(Value):
    """What an event says of one guest.

    Attributes:
        guest: The guest's name; None in a journal that knows one guest only.
    """

    guest: str | None = None


class OfMigration(OfGuest):
    """What an event says of one migration.

    Attributes:
        n: The migration's number in its attempt, from 1.
    """

    n: int


class OfResponse(OfGuest):
    """What an event says of one response.

    Attributes:
        n: The response's number in its attempt, from 1; a migration that follows has the same.
    """

    n: int
