"""A trust monitor that stands still: a test moves its clock, its schedule, its watchdog and its looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.attest.monitor.kinds.contract import Observation
from harness.attest.monitor.monitor import Settings, TrustMonitor
from harness.attest.monitor.standing import Change, Standing
from harness.attest.monitor.watch import Watch
from harness.clock import NS_PER_S
from tests.attest.monitor.fakes import Store, Told
from tests.synthetic.clocks import SteppedClock

S = NS_PER_S


class Bench:
    """A trust monitor without threads: looks begin when it dispatches and end when the test runs them."""

    def __init__(
        self, watches: Sequence[Watch], clock: SteppedClock, *, store: Store | None = None, **settings: float
    ) -> None:
        self.clock = clock
        self.changes: list[Change] = []
        self.of_itself: list[tuple[str, str]] = []
        self.looks: list[tuple[str, Callable[[], None]]] = []
        chosen = Settings(**{"workers": 2, "hang_s": 5.0, "check_s": 1.0, "spare": 1, **settings})  # type: ignore[arg-type]
        self.monitor = TrustMonitor(
            watches,
            clock=clock,
            listeners=[self.changes.append],
            store=store,
            settings=chosen,
            spawn=lambda name, call: self.looks.append((name, call)),
        )

    def begin(self) -> list[str]:
        """Dispatch; whose looks began."""
        before = len(self.looks)
        self.monitor.dispatch()
        return [name.removeprefix("trust-look-") for name, _call in self.looks[before:]]

    def end(self, count: int | None = None) -> None:
        """Let the looks that began first end."""
        ending, self.looks = self.looks[:count], self.looks[len(self.looks[:count]) :]
        for _name, call in ending:
            call()

    def at(self, now_s: float) -> list[Change]:
        """Go to a moment of the clock, let the watchdog look, and return what is new."""
        self.clock.now = round(now_s * S)
        self.monitor.check()
        return self.new()

    def round(self, now_s: float) -> list[Change]:
        """Go to a moment, look at every attester that is due, and return what is new."""
        self.clock.now = round(now_s * S)
        while self.begin():
            self.end()
        return self.new()

    def new(self) -> list[Change]:
        """What was told of attesters; what the monitor told of itself is kept in `of_itself`."""
        self.monitor.deliver()
        told, self.changes[:] = list(self.changes), []
        self.of_itself += [(one.monitor, one.kind) for one in told if not one.subject]
        return [one for one in told if one.subject]

    @property
    def standing(self) -> Standing:
        (standing,) = self.monitor.standings()
        return standing


def watch(
    look: Callable[[], Observation | None],
    subject: str = "a",
    *,
    kind: type[Told] = Told,
    interval_s: float = 10.0,
    lifetime_s: float = 25.0,
    server: bool = True,
    first: bool = True,
) -> Watch:
    return Watch(
        subject=subject,
        monitor=kind.by(look),
        interval_s=interval_s,
        lifetime_s=lifetime_s,
        server=server,
        first=first,
    )


def kinds(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.what) for change in changes]
