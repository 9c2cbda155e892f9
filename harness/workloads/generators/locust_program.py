"""Runs on the client as ``python -u -c TEXT CONFIG``: so many locust users, and a line of JSON a second.

locust's own report is a running mean over ten seconds or more, which hides a blackout of one; here each
completion is counted into the second in which it came, and the longest time without one is kept. CONFIG is
JSON: ``kind`` (http or smtp), ``host``, ``port``, ``users``, ``pacing_s``, ``limit_s``, and ``targets`` or
``size_kib``. It ends on SIGTERM or after the limit. Only :func:`main` needs locust.

Lines: ``generator, version, format`` first; then reports, one a second; ``error`` for the first of each kind
of failure. Reports keep to a grid of whole seconds since the start, are printed also when nothing comes back,
and say how late they are: a late report is the client's fault and not the server's.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import math
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

FORMAT = 1
PERIOD_S = 1.0

# A stalled request is to be a stall and not a failure, however long the server is away, within reason.
TIMEOUT_S = 60.0
KINDS_OF_ERROR = 8
ERROR_LENGTH = 300
LINE = b"All work and no play makes a long message out of very few different words.\r\n"


def rank(ordered: list[float], share: float) -> float:
    """The smallest of `ordered` that at least `share` of them do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Tally:
    """Counts what happens since the last report; times in seconds on one monotonic clock."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    stall: float | None = None
    last: float | None = None

    def complete(self, now: float, latency: float) -> None:
        """Record that a request was answered at `now` after `latency`."""
        self.latencies.append(latency)
        if self.last is not None:
            self.stall = max(self.stall or 0.0, now - self.last)
        self.last = now

    def take(self) -> dict[str, float | int | None]:
        """The figures since the last call; starts counting again. None where no request was completed."""
        ordered = sorted(self.latencies)
        figures: dict[str, float | int | None] = {
            "completed": len(ordered),
            "failed": self.failed,
            "latency_max_s": round(ordered[-1], 6) if ordered else None,
            "latency_mean_s": round(sum(ordered) / len(ordered), 6) if ordered else None,
            "latency_p99_s": round(rank(ordered, 0.99), 6) if ordered else None,
            "stall_s": None if self.stall is None else round(self.stall, 6),
        }
        self.latencies, self.failed, self.stall = [], 0, None
        return figures


@dataclass
class Grid:
    """Whole seconds since `begin`: which report is due, and how late it comes."""

    begin: float
    reported: int = 0

    def next_at(self) -> float:
        """When the next report is due."""
        return self.begin + (self.reported + 1) * PERIOD_S

    def report(self, now: float, tally: Tally) -> dict[str, float | int | None]:
        """The report at `now`; one that comes seconds late stands for those seconds."""
        late = now - self.next_at()
        self.reported = max(self.reported + 1, int((now - self.begin) / PERIOD_S))
        return {**tally.take(), "late_s": round(late, 6), "second": self.reported, "t_s": round(now, 6)}


@dataclass
class Pace:
    """One user's own grid: `phase` is its place in the period, which no stall moves.

    With locust's constant_pacing all users that waited through an outage go on in step after it, and one
    burst a period looks like an outage between bursts. Slots that passed during a request are left out.
    """

    period: float
    phase: float

    def wait(self, now: float) -> float:
        """Seconds from `now` to the next slot."""
        slots = math.floor((now - self.phase) / self.period) + 1
        return max(0.0, self.phase + slots * self.period - now)


def message(size_kib: float) -> bytes:
    """A mail of about `size_kib` KiB including headers, always the same."""
    head = b"From: <sender@sodbench.test>\r\nTo: <recipient@sodbench.test>\r\nSubject: load\r\n\r\n"
    return head + LINE * max(1, round((size_kib * 1024 - len(head)) / len(LINE)))


def path(target: dict[str, Any], draw: random.Random) -> str:
    """The path to request: ``before``, a number from ``low`` to ``high`` if it has them, ``after``."""
    number = "" if target.get("low") is None else str(draw.randint(target["low"], target["high"]))
    return f"{target['before']}{number}{target['after']}"


def say(line: dict[str, Any]) -> None:
    """Print `line` at once."""
    sys.stdout.write(json.dumps(line, sort_keys=True) + "\n")
    sys.stdout.flush()


def _http_user(locust: ModuleType, config: dict[str, Any], draw: random.Random) -> type[Any]:
    targets = config["targets"]
    weights = [target["weight"] for target in targets]

    class Visitor(locust.FastHttpUser):  # type: ignore[misc, name-defined]
        """Asks for pages over one kept connection with the cookies it was given."""

        host = f"http://{config['host']}:{config['port']}"
        network_timeout = TIMEOUT_S
        connection_timeout = TIMEOUT_S

        @locust.task  # type: ignore[untyped-decorator]
        def ask(self) -> None:
            target = draw.choices(targets, weights)[0]
            # Unpacked pages: compressing them would be the server's main work.
            self.client.get(path(target, draw), name=target["name"], headers={"Accept-Encoding": "identity"})

    return Visitor


def _smtp_user(locust: ModuleType, config: dict[str, Any]) -> type[Any]:
    smtplib = importlib.import_module("smtplib")
    text = message(config["size_kib"])

    class Sender(locust.User):  # type: ignore[misc, name-defined]
        """Sends one message a connection, as mstone does."""

        @locust.task  # type: ignore[untyped-decorator]
        def send(self) -> None:
            begin = time.perf_counter()
            failure = None
            try:
                # A name of its own keeps smtplib from asking the resolver for one.
                server = smtplib.SMTP(config["host"], config["port"], "client.sodbench.test", TIMEOUT_S)
                with server:
                    server.helo()
                    _expect(smtplib, server.mail("sender@sodbench.test"))
                    _expect(smtplib, server.rcpt("recipient@sodbench.test"))
                    _expect(smtplib, server.data(text))
            except (OSError, smtplib.SMTPException) as error:
                failure = error
            self.environment.events.request.fire(
                request_type="SMTP",
                name="message",
                response_time=(time.perf_counter() - begin) * 1000,
                response_length=0,
                exception=failure,
            )

    return Sender


def _expect(smtplib: ModuleType, reply: tuple[int, bytes]) -> None:
    code, text = reply
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, text)


def _paced(user: type[Any], config: dict[str, Any], begin: float) -> None:
    """Give each user of the class its own place in the period."""
    numbers = itertools.count()

    def place(self: Any) -> None:  # noqa: ANN401 - locust has no types
        self.pace = Pace(config["pacing_s"], begin + next(numbers) * config["pacing_s"] / config["users"])
        importlib.import_module("gevent").sleep(self.pace.wait(time.monotonic()))

    user.on_start = place
    user.wait_time = lambda self: self.pace.wait(time.monotonic())


def _listen(events: Any, tally: Tally) -> None:  # noqa: ANN401 - locust has no types
    """Count locust's requests, and what its users raise, into `tally`; tell the first of each error."""
    told: set[str] = set()

    def fail(error: object) -> None:
        tally.failed += 1
        text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
        kind = re.sub(r"\d+", "", text)  # the same failure of another page is not another kind
        if kind not in told and len(told) < KINDS_OF_ERROR:
            told.add(kind)
            say({"error": text})

    def on_request(response_time: float, exception: object = None, **_rest: object) -> None:
        if exception is None:
            tally.complete(time.monotonic(), response_time / 1000)
        else:
            fail(exception)

    events.request.add_listener(on_request)
    events.user_error.add_listener(lambda exception, **_rest: fail(exception))


def _report(grid: Grid, tally: Tally, users: Callable[[], int], sleep: Callable[[float], None]) -> None:
    """Print one report per second, forever."""
    spent = time.process_time()
    while True:
        sleep(max(0.0, grid.next_at() - time.monotonic()))
        line = grid.report(time.monotonic(), tally)
        before, spent = spent, time.process_time()
        say({**line, "cpu_s": round(spent - before, 6), "users": users()})


def main() -> None:
    """Load the server until told to end."""
    config = json.loads(sys.argv[1])
    locust = importlib.import_module("locust")  # first: it lets sockets and smtplib yield to other users
    gevent = importlib.import_module("gevent")
    environment_of = importlib.import_module("locust.env").Environment
    say({"format": FORMAT, "generator": "locust", "version": locust.__version__})
    draw = random.Random(1)
    user = _http_user(locust, config, draw) if config["kind"] == "http" else _smtp_user(locust, config)
    tally, begin = Tally(), time.monotonic()
    _paced(user, config, begin)
    environment = environment_of(user_classes=[user])
    runner = environment.create_local_runner()
    _listen(environment.events, tally)
    done = gevent.event.Event()
    gevent.signal_handler(signal.SIGTERM, done.set)
    count = functools.partial(getattr, runner, "user_count")
    reporter = gevent.spawn(_report, Grid(begin), tally, count, gevent.sleep)
    reporter.link(lambda _ended: done.set())
    runner.start(config["users"], spawn_rate=config["users"])
    done.wait(config["limit_s"])
    reporter.kill()
    runner.quit()


if __name__ == "__main__":
    main()
