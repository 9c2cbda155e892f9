"""Policy validation: which servers satisfy a request.

It has two modes, as in Security on Demand, section III-D: where a new VM may start, and where a running VM
may go. A server is eligible if and only if every requested cell counts on it now; the server that a VM must
leave never is. Nothing here asks a machine or acts on an answer.
"""

from __future__ import annotations

from harness.policy.fleet import Fleet, Offer
from harness.policy.refusal import Refusal, refusal
from harness.policy.request import Request
from harness.policy.threats import mask
from harness.policy.validated import NoServerError, RefusedShelf, Validated

__all__ = ["NoServerError", "Refusal", "RefusedShelf", "Validated", "deploy", "relocate", "satisfied"]


def deploy(request: Request, fleet: Fleet, now_ns: int) -> Validated:
    """Where a new VM may start. Advances the fleet to `now_ns`, controller's CLOCK_MONOTONIC."""
    return _validated(request, fleet, None, now_ns)


def relocate(request: Request, fleet: Fleet, here: str, now_ns: int) -> Validated:
    """Where a VM that is on `here` may go; `here` may be an unknown server. As :func:`deploy`."""
    return _validated(request, fleet, here, now_ns)


def satisfied(request: Request, fleet: Fleet, here: str, now_ns: int) -> Refusal | None:
    """Why a VM must not stay on `here`; None where it may. Advances the fleet to `now_ns`."""
    fleet.advance(now_ns)
    return refusal(request, fleet, here)


def _validated(request: Request, fleet: Fleet, here: str | None, now_ns: int) -> Validated:
    fleet.advance(now_ns)
    asked, accepted = mask(request.cells), request.accept_removed
    fitting: dict[int, list[Offer]] = {}
    count = 0
    for offer, size in fleet.shelves():
        if asked & ~offer.counting(accepted):
            continue
        fitting.setdefault((offer.yes & ~asked).bit_count(), []).append(offer)
        count += size - (here is not None and fleet.offer(here) == offer)
    return Validated(
        request=request,
        here=here,
        fleet=fleet,
        revision=fleet.revision,
        fitting={surplus: tuple(fitting[surplus]) for surplus in sorted(fitting)},
        count=count,
    )
