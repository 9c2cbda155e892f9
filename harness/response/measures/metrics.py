"""The metrics of a response: contiguous spans from the provocation to the verdict on arrival, and their sums.

Every span begins where the one before it ends, so that nothing between provocation and arrival is in none
of them: detect, appraise, decide, trigger, migrate, verify; or, where nothing is moved, detect, appraise,
decide, act. All stamps are the controller's, but RESUME, which is QEMU's own and mapped.

The same declarations are read twice: of a response, and of the migration that followed it, as rows of the
tidy table. Trials that demonstrate no response have none of these rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.evidence.attempt import Attempt, Migration, seconds
from harness.evidence.events import ResponseDecided
from harness.evidence.metric import Metric, NotMeasured, Value
from harness.migration.measures.metrics import OWN, unobserved
from harness.migration.measures.switchover import resume_of, told_apart
from harness.response.measures.evidence import MOVE, STAGES, Response, stages

OBSERVER = ResponseDecided.OBSERVER
"""Who says so in the journal."""
SECTION_VI = (
    "Jamkhedkar et al., A Framework for Realizing Security on Demand in Cloud Computing, section VI: 2.33 s "
    "on average until OpenStack triggered a migration"
)
CLOUDMONATT = "Zhang and Lee, CloudMonatt, ISCA 2015, whose structure it follows"


def detect(response: Response) -> Value:
    """From the provocation to the evidence that shows it; s."""
    span_ns = response.evidence_ns - response.provoked_ns
    return _exact(span_ns, uncertainty_ns=response.provoked_width_ns)


def appraise(response: Response) -> Value:
    """From the evidence to the result; s."""
    return _exact(response.result_ns - response.evidence_ns)


def decide(response: Response) -> Value:
    """From the result to the durable decision; s."""
    return _exact(response.decided_ns - response.result_ns)


def trigger(response: Response) -> Value:
    """From the decision to the migration's job on the source; s."""
    return _exact(response.accepted_ns - response.decided_ns)


def migrate(response: Response) -> Value:
    """From the migration's job to RESUME on the destination; s."""
    accepted_ns, resume = response.accepted_ns, resume_of(response.moved)
    return told_apart(
        resume.t_ns - accepted_ns, resume.uncertainty_ns, "the migration's job and RESUME on the destination"
    )


def verify(response: Response) -> Value:
    """From RESUME on the destination to the verdict on the guest there; s."""
    arrived_ns, resume = response.arrived_ns, resume_of(response.moved)
    return told_apart(
        arrived_ns - resume.t_ns, resume.uncertainty_ns, "RESUME on the destination and the verdict"
    )


def act(response: Response) -> Value:
    """From the decision to its being carried out where the guest is; s."""
    return _exact(response.acted_ns - response.decided_ns)


def trigger_delay(response: Response) -> Value:
    """From the result to the migration's job on the source; s."""
    return _exact(response.accepted_ns - response.result_ns)


def overhead(response: Response) -> Value:
    """What the loop adds before and after the bare migration, next to the TPMs' own time; s."""
    migration, arrived_ns = response.moved, response.arrived_ns
    before_ns = migration.started_ns - response.result_ns
    after_ns = arrived_ns - migration.returned_ns
    return _exact(before_ns + after_ns - response.quotes_ns)


def reaction(response: Response) -> Value:
    """From the provocation to the guest in safety: resumed at its destination, or held, or stopped; s."""
    provoked_ns, width_ns = response.provoked_ns, response.provoked_width_ns
    if response.action not in (MOVE, None):
        return _exact(response.acted_ns - provoked_ns, uncertainty_ns=width_ns)
    resume = resume_of(response.moved)
    what = "the provocation and RESUME on the destination"
    found = told_apart(resume.t_ns - provoked_ns, resume.uncertainty_ns, what)
    return replace(found, uncertainty=seconds(resume.uncertainty_ns + width_ns))


def _exact(span_ns: int, *, uncertainty_ns: int = 0) -> Value:
    return Value(value=seconds(span_ns), resolution=1e-9, uncertainty=seconds(uncertainty_ns))


def stage(name: str, attempt: Attempt) -> Value:
    """What one stage of the guest's deployment took; s."""
    took = stages(attempt)
    if name not in took:
        raise NotMeasured(f"the deployment's stage {name} was not recorded")
    return _exact(took[name])


def launch(attempt: Attempt) -> Value:
    """All stages of the guest's deployment together; s."""
    return Value(value=sum(stage(name, attempt).value or 0.0 for name in STAGES), resolution=1e-9)


# fmt: off
SPANS: tuple[Metric[Response], ...] = (
    Metric(
        name="response_detect", title="Detect", unit="s", better="lower", observer=OBSERVER, measure=detect,
        signed=True,
        definition="From the provocation, when it had happened for certain, to the evidence that shows it. "
        "The uncertainty is the time for which it may have happened before. Not applicable to moving-target "
        "defence, which nothing provokes.",
        source=CLOUDMONATT,
    ),
    Metric(
        name="response_appraise", title="Appraise", unit="s", better="lower", observer=OBSERVER,
        measure=appraise,
        definition="From the evidence to the result made of it.",
        source=OWN,
    ),
    Metric(
        name="response_decide", title="Decide", unit="s", better="lower", observer=OBSERVER, measure=decide,
        definition="From the result to the decision, durable in the registry: validation and the "
        "destination's new quote are part of it.",
        source=OWN,
    ),
    Metric(
        name="response_trigger", title="Trigger", unit="s", better="lower", observer=OBSERVER,
        measure=trigger,
        definition="From the decision to the moment at which the source's libvirt was seen to hold the "
        "migration's job.",
        source=OWN,
    ),
    Metric(
        name="response_migrate", title="Migrate", unit="s", better="lower", observer=f"{OBSERVER} + qmp",
        measure=migrate,
        definition="From that moment to RESUME on the destination, by that event's own stamp. It begins "
        "later than total_time by what the call took to become a job.",
        source=OWN,
    ),
    Metric(
        name="response_verify", title="Verify on arrival", unit="s", better="lower",
        observer=f"{OBSERVER} + qmp", measure=verify,
        definition="From RESUME on the destination to the stored verdict on whether the guest is the one "
        "that left.",
        source=OWN,
    ),
    Metric(
        name="response_act", title="Act", unit="s", better="lower", observer=OBSERVER, measure=act,
        definition="In place of a migration: from the decision to its being carried out, the guest held, "
        "suspended or shut down.",
        source=CLOUDMONATT,
    ),
)
"""The spans in their order: each begins where the one before it that applies ends."""
SUMS: tuple[Metric[Response], ...] = (
    Metric(
        name="trigger_delay", title="Trigger delay", unit="s", better="lower", observer=OBSERVER,
        measure=trigger_delay,
        definition="From the result to the migration's job on the source: decide and trigger together.",
        source=SECTION_VI,
    ),
    Metric(
        name="response_overhead", title="Overhead of the loop", unit="s", better="lower",
        observer=f"{OBSERVER} + runner", measure=overhead, signed=True,
        definition="What the loop adds to the bare migration: from the result to the call to migrate, and "
        "from the call's return to the verdict on arrival, less the time that the TPMs themselves took "
        "for the destination's quote and for those that were asked for after the return.",
        source=OWN,
    ),
    Metric(
        name="reaction_time", title="Reaction time", unit="s", better="lower",
        observer=f"{OBSERVER} + qmp", measure=reaction,
        definition="From the provocation to RESUME on the destination, or to the guest's being held, "
        "suspended or shut down. The uncertainty is detect's and that of the event's stamp. Not "
        "applicable to moving-target defence.",
        source=CLOUDMONATT,
    ),
)
"""What is told of a response next to its spans."""
SIGNED = frozenset(metric.name for metric in (*SPANS, *SUMS) if metric.signed)
"""Those that can be negative: an event may be seen before it has happened for certain."""
STAGE_WORDS: Sequence[tuple[str, str]] = (
    ("validate", "policy validation"),
    ("start", "the guest's start"),
    ("enrol", "enrolment of its virtual TPM"),
    ("attest", "its first attestation"),
    ("place", "the record of its host"),
)
LAUNCH: tuple[Metric[Attempt], ...] = (
    *(
        Metric(
            name=f"launch_{name}", title=f"Launch: {name}", unit="s", better="lower", observer=OBSERVER,
            definition=f"The deployment's stage {name}: {words}.",
            source=CLOUDMONATT, scope="trial", over="baseline", measure=partial(stage, name),
        )
        for name, words in STAGE_WORDS
    ),
    Metric(
        name="launch_time", title="Launch", unit="s", better="lower", observer=OBSERVER, measure=launch,
        definition="All stages of the guest's deployment together.",
        source=CLOUDMONATT, scope="trial", over="baseline",
    ),
)
"""The metrics of the deployment of a response trial's guest."""
# fmt: on


def measure(metric: Metric[Response], response: Response) -> Value:
    """The reading of a response: null with the reason where an observer it needs failed before its end."""
    return unobserved(metric.observer, response.attempt, response.last_ns) or metric.of(response)


def of_migration(metric: Metric[Response], migration: Migration) -> Value:
    """The reading of the response that a migration carried out."""
    return metric.measure(Response(attempt=migration.attempt, n=migration.n))


def _of_migrations() -> tuple[Metric[Migration], ...]:
    """The same declarations, to be read of migrations; what is only without one is left out."""
    return tuple(
        Metric(
            name=metric.name, title=metric.title, unit=metric.unit, better=metric.better,
            observer=metric.observer, definition=metric.definition, source=metric.source,
            signed=metric.signed, measure=partial(of_migration, metric),
        )
        for metric in (*SPANS, *SUMS)
        if metric.measure is not act
    )  # fmt: skip


METRICS: tuple[Metric[Migration], ...] = _of_migrations()
"""The rows of a response trial's migrations in the tidy table."""
EVERY: tuple[Metric[Response], ...] = (*SPANS, *SUMS)
"""Everything that is read of a response."""
