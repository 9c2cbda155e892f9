"""A guest is deployed: a server that satisfies its request is found, and the guest is proved to be there.

Deployment is policy validation's first mode (Security on Demand, section III-D). Which server it may be is
decided before anything is started, and that it is the one is proved before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.clock import NS_PER_S, Clock
from harness.errors import GuestError
from harness.policy.request import Request
from harness.policy.validation import deploy
from harness.registry.registry import Registry
from harness.response.act.prover import Prover
from harness.response.act.servers import Servers

_LOOK_UP_S = 0.2


def choose(
    servers: Servers, request: Request, clock: Clock, *, limit_s: float, pause: Callable[[float], None]
) -> tuple[str, int]:
    """The best server for a new guest, and how long the validation took, ns.

    Monitors that have just begun have seen nothing yet, and a busy machine may answer late; they are given
    `limit_s`.

    Raises:
        NoServerError: No server satisfies the request in time; with what each lacks.
    """
    end_ns = clock.now_ns() + round(limit_s * NS_PER_S)
    while True:
        fleet = servers.fleet({})
        begin_ns = clock.now_ns()
        verdict = deploy(request, fleet, begin_ns)
        took_ns = clock.now_ns() - begin_ns
        # All of them are waited for: the first that is known need not be the best. This fleet must know them,
        # because a look may end right after it was made. Where none satisfies the request, every monitor must
        # have spoken as well; nothing better will come then.
        known = servers.known(fleet) and (verdict.count > 0 or servers.all_known())
        if known or clock.now_ns() >= end_ns:
            return verdict.best(), took_ns
        pause(_LOOK_UP_S)


def placed(registry: Registry, vm: str, host: str) -> int:
    """Store that the guest is on `host` from now on; the epoch of its stay."""
    last = registry.placement(vm)
    return registry.place(vm, host, 1 if last is None else last.epoch + 1).epoch


def proved(prover: Prover, vm: str, host: str, epoch: int) -> None:
    """Prove that the guest is what it should be, on `host`.

    Raises:
        GuestError: It is not.
        RegistryError: The registry does not answer.
    """
    found = prover.look(host, epoch)
    if not prover.holds(found):
        why = f"{found.verdict.reason}: {found.verdict.detail}"
        raise GuestError(f"the guest is not what it should be on {host}", where=vm, why=why)
