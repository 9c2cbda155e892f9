"""The blackout, which is the paper's downtime: from STOP on the source to RESUME on the destination.

A guest may be stopped and resumed without moving (an injected fault, a migration that failed at the very
end), and after post-copy it runs on at the destination while the source stays stopped. Only a STOP on the
source with the next RESUME on the destination is a switch-over; everything else is listed as a pause.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from harness.evidence.attempt import Attempt, Migration, seconds
from harness.evidence.events import AttemptStarted, MigrationReturned, MigrationStarted, QmpEvent
from harness.evidence.metric import NotMeasured, Value
from harness.pair_name import HOSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A STOP or RESUME by QEMU's own stamp: `t_ns` in the controller's clock within `uncertainty_ns`."""

    host: str
    event: str
    t_ns: int
    uncertainty_ns: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchover:
    """The guest stood still from `stop` on the source to `resume` on the destination."""

    stop: Stamp
    resume: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The guest was stopped and resumed on one host; `migration` is the one under way then, or None."""

    host: str
    start_ns: int
    length_s: float
    migration: int | None


def stamps(attempt: Attempt, near_ns: int) -> list[Stamp]:
    """Every STOP and RESUME of the attempt, by time, all mapped by the clock samples nearest to `near_ns`.

    One sample a machine for all of them: the distance of two stamps then never contains the difference of
    two samples of one clock. Events of a host whose clock is not known are left out.
    """
    found = []
    # Looked up once a host: a run's samples are many, and each event would search them all.
    offsets = {
        host: attempt.clocks.nearest(host, near_ns) for host in HOSTS if attempt.clocks.samples.get(host)
    }
    for event, said in attempt.told(QmpEvent):
        if said.event in ("STOP", "RESUME") and said.host in offsets:
            offset = offsets[said.host]
            t_ns = said.realtime_us * 1000 + offset.realtime_offset_ns
            uncertainty_ns = 0 if offset.same_kernel else offset.uncertainty_ns
            found.append(
                Stamp(
                    host=said.host, event=said.event, t_ns=t_ns, uncertainty_ns=uncertainty_ns, seq=event.seq
                )
            )
    return sorted(found, key=lambda stamp: (stamp.t_ns, stamp.seq))


def resume_of(migration: Migration) -> Stamp:
    """The first RESUME on the destination after the call.

    Raises:
        NotMeasured: None was seen before the migration's interval ended, or the host's clock is not known.
    """
    source, destination = migration.source, migration.destination
    started_ns = migration.started_ns
    migration.attempt.clocks.nearest(destination, started_ns)  # says so when that clock is not known
    for stamp in stamps(migration.attempt, started_ns):
        after = stamp.t_ns >= started_ns - stamp.uncertainty_ns
        if stamp.host == destination and stamp.event == "RESUME" and after:
            if stamp.t_ns < migration.until_ns + stamp.uncertainty_ns:
                return stamp
            break
    raise NotMeasured(f"no RESUME on {destination} was seen after the call that left {source}")


def switchover(migration: Migration) -> Switchover:
    """The last STOP on the source after the call and before the RESUME on the destination.

    A STOP that a RESUME on the source itself followed was a pause and does not count.

    Raises:
        NotMeasured: There is no such pair.
    """
    resume = resume_of(migration)
    started_ns = migration.started_ns
    source = migration.source
    migration.attempt.clocks.nearest(source, started_ns)
    stop: Stamp | None = None
    for stamp in stamps(migration.attempt, started_ns):
        uncertainty_ns = stamp.uncertainty_ns + resume.uncertainty_ns
        after = stamp.t_ns >= started_ns - stamp.uncertainty_ns
        if stamp.host == source and after and stamp.t_ns <= resume.t_ns + uncertainty_ns:
            stop = stamp if stamp.event == "STOP" else None
    if stop is None:
        raise NotMeasured(f"no STOP on {source} was seen between the call and the RESUME on the other host")
    return Switchover(stop=stop, resume=resume)


def told_apart(span_ns: int, uncertainty_ns: int, what: str) -> Value:
    """What passed between two stamps of different clocks.

    A span that is not longer than its uncertainty does not count: the order of its stamps is unknown.
    To leave out only the negative ones of such spans would make every mean of the others too long.

    Raises:
        NotMeasured: The clocks cannot tell the two stamps apart.
    """
    if span_ns <= uncertainty_ns:
        raise NotMeasured(
            f"the clocks cannot tell {what} apart: {seconds(span_ns) * 1000:.3f} ms, certain within "
            f"± {seconds(uncertainty_ns) * 1000:.3f} ms"
        )
    return Value(value=seconds(span_ns), resolution=1e-6, uncertainty=seconds(uncertainty_ns))


def pauses(attempt: Attempt) -> list[Pause]:
    """Every STOP and the RESUME on the same host that followed it, switch-overs left out, by time.

    Lengths are differences of one machine's own stamps and carry no clock uncertainty.
    """
    switched = {stop.seq for migration in attempt.migrations if (stop := _stop_of(migration)) is not None}
    near_ns = attempt.first(AttemptStarted).t_ns
    found: list[Pause] = []
    for host in HOSTS:
        own = [stamp for stamp in stamps(attempt, near_ns) if stamp.host == host]
        for stop, resume in pairwise(own):
            if (stop.event, resume.event) == ("STOP", "RESUME") and stop.seq not in switched:
                found.append(
                    Pause(
                        host=host,
                        start_ns=stop.t_ns,
                        length_s=seconds(resume.t_ns - stop.t_ns),
                        migration=_under_way(attempt, stop.t_ns),
                    )
                )
    return sorted(found, key=lambda pause: pause.start_ns)


def _stop_of(migration: Migration) -> Stamp | None:
    """The STOP of a successful migration's switch-over; None where there is none to leave out."""
    if migration.failure is not None:
        return None
    try:
        return switchover(migration).stop
    except NotMeasured:
        return None  # then nothing is known to be its switch-over, and every pair is listed


def _under_way(attempt: Attempt, t_ns: int) -> int | None:
    for migration in attempt.migrations:
        started_ns, returned_ns = migration.last_ns(MigrationStarted), migration.last_ns(MigrationReturned)
        if started_ns is not None and returned_ns is not None and started_ns <= t_ns < returned_ns:
            return migration.n
    return None
