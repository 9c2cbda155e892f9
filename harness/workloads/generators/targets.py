"""The requests of HTTP generators, defined once, so that locust and Faban load a server with the same mix."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A kind of request: `before`, a number drawn evenly from `low` to `high` where there are any, `after`.

    Attributes:
        name: What results call it; no two targets of a workload have the same.
        before: Begin of the path.
        after: End of the path.
        low: Smallest number, or None for a fixed path.
        high: Largest number.
        weight: How often it is requested, relative to the other targets' weights.
    """

    name: str
    before: str
    after: str = ""
    low: int | None = None
    high: int | None = None
    weight: float = 1.0

    def as_json(self) -> dict[str, str | int | float | None]:
        """In the form that locust's program reads."""
        return asdict(self)
