"""What the response loop says: of the guest it guards, and of each response from its cause to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harness.evidence.events.value import Facts, OfGuest, OfResponse


class _Response(OfResponse):
    OBSERVER: ClassVar[str] = "response"


class _OfGuest(OfGuest):
    OBSERVER: ClassVar[str] = "response"


class ResponseLaunched(_OfGuest):
    """A guest of the trial was deployed with its request; what each stage took, in ns."""

    KIND: ClassVar[str] = "response.launched"
    vm: str
    host: str
    stages_ns: Mapping[str, int | None]
    request: Facts | None = None


class ResponseProvoked(_Response):
    """Something was done that is to be answered, at `earliest_ns` at the earliest.

    Where several guests are to answer, `vm` names all of them, and `n` is the first of their responses.
    """

    KIND: ClassVar[str] = "response.provoked"
    scenario: str
    server: str | None
    vm: str
    what: str
    earliest_ns: int
    latest_ns: int

    @property
    def of_several(self) -> bool:
        """Whether several guests are to answer."""
        return ", " in self.vm


class ResponseDetected(_Response):
    """The loop was told that the guest must not stay as it is."""

    KIND: ClassVar[str] = "response.detected"
    cause: str
    server: str | None
    monitor: str | None
    reason: str
    detail: str | None
    simulated: bool
    asked_ns: int | None
    evidence_ns: int | None
    result_ns: int | None


class ResponseDecided(_Response):
    """The decision is durable; `requote` is what the destination said when it was asked once more."""

    KIND: ClassVar[str] = "response.decided"
    response: int
    vm: str
    source: str
    destination: str | None
    action: str
    candidates: Sequence[str]
    refused: Mapping[str, str]
    validated_ns: int
    requote: Facts | None


class ResponseAccepted(_Response):
    """The source's libvirt was seen to hold the migration's job."""

    KIND: ClassVar[str] = "response.accepted"


class ResponseActed(_Response):
    """The guest was held, suspended or shut down where it is."""

    KIND: ClassVar[str] = "response.acted"
    action: str
    ok: bool
    error: str | None


class ResponseArrived(_Response):
    """The verdict on the guest at its destination is stored."""

    KIND: ClassVar[str] = "response.arrived"
    tier: str
    reason: str
    window_ns: int | None
    same_key: bool | None
    quotes_ns: int | None


class ResponseClosed(_Response):
    """The response is over; `response` is its number in the registry, null where it was not begun."""

    KIND: ClassVar[str] = "response.closed"
    response: int | None
    state: str
    reason: str


class ResponseMissed(_Response):
    """It was provoked, and nothing followed in time."""

    KIND: ClassVar[str] = "response.missed"
    reason: str


class ResponseWaiting(_OfGuest):
    """The guest must move and does not, for now."""

    KIND: ClassVar[str] = "response.waiting"
    vm: str
    cause: str
    why: str


class ResponseRecovered(_OfGuest):
    """What was done about a response that a killed controller left open."""

    KIND: ClassVar[str] = "response.recovered"
    response: int
    step: str
    hosts: Sequence[str]
    why: str


class GuardStarted(_OfGuest):
    """The guest is guarded from here on; `recovered`: how many open responses were ended first."""

    KIND: ClassVar[str] = "guard.started"
    vm: str
    recovered: int


class GuardStopped(_OfGuest):
    """The guest is guarded no longer."""

    KIND: ClassVar[str] = "guard.stopped"
    vm: str
