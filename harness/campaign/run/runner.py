"""The loop: one trial after another, each journalled, until the plan is done; and the same again on resume.

The runner decides nothing that is not in the plan or the journal. Killed at any moment it loses the attempt
that was under way and nothing else: what remains is computed from the journal (`harness/campaign/state.py`).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

from harness import __version__, disk, workloads
from harness.analysis import table as results
from harness.campaign import estimate as estimates
from harness.campaign import link, preflight, state
from harness.campaign import plan as plans
from harness.campaign.plan import Plan
from harness.campaign.run import appraisal_files, encryption
from harness.campaign.run.attempt import AttemptRun
from harness.campaign.run.attestation import RunAttestation
from harness.campaign.scenarios import scenarios
from harness.clock import NS_PER_S, Clock, boot_id, realtime_ns
from harness.errors import (
    IncompleteRunError,
    InterruptedRunError,
    PrerequisiteError,
    RecordError,
    SodbenchError,
    StorageError,
)
from harness.evidence import folder as store
from harness.evidence import journal, played, seal
from harness.evidence.events import Opening, RunAborted, RunFinished, RunResumed, RunStarted
from harness.evidence.folder import RunFolder, read_manifest
from harness.evidence.journal import Event, Journal
from harness.evidence.record import Record
from harness.files import read_json, write_atomic, write_json
from harness.interrupt import Interrupt
from harness.json_types import Json
from harness.pair_name import GUEST, HOSTS
from harness.registry import url
from harness.registry.registry import Registry, open_registry
from harness.response import policy_file
from harness.rig.rig import Rig

_RESPONSE_POLICY = "policy-response.yml"

Listener = Callable[[Event], None]
"""Told of every event as it is journalled: for progress on a terminal, never for decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the manifest records next to the plan: who ran what, from which file, with which registry.

    `references` is the folder of the machines' reference values, by default the user's own.
    """

    campaign_text: bytes
    command_line: Sequence[str]
    commit: str | None
    inventory: Path | None
    registry: str | None = None
    script: bytes | None = None
    references: Path | None = None


def begin(root: Path, plan: Plan, rig: Rig, provenance: Provenance) -> RunFolder:
    """Make the run's folder with everything that is known before the first trial.

    Raises:
        PrerequisiteError: The rig cannot carry the plan; nothing was made.
        StorageError: The folder cannot be written.
    """
    facts = rig.facts()
    require_fit(facts, plan, rig)
    files = _require_attestation(plan, rig, provenance)
    run = store.create(root, plan.campaign)
    _need_space(run.root, plan, rig)
    write_atomic(run.campaign, provenance.campaign_text)
    write_json(run.plan, plan.to_json())
    if provenance.script is not None:
        write_atomic(run.script, provenance.script)
    appraisal_files.keep(run, files)
    write_json(run.manifest, _manifest(run, plan, rig, provenance))
    _write_facts(run, facts, "before")
    write_json(run.environment(GUEST, "before"), rig.image)
    return run


def require_fit(facts: Mapping[str, Mapping[str, Json]], plan: Plan, rig: Rig) -> None:
    """See that machines with these facts can carry the plan; touches none.

    Raises:
        PrerequisiteError: They cannot; the message has every reason.
    """
    estimate = estimates.estimate(plan, rig.accelerator)
    encrypted = encryption.of_any(plan) and any(trial.migrations for trial in plan.trials)
    end = datetime.fromtimestamp(realtime_ns() / NS_PER_S + estimate.total_s, tz=UTC)
    largest_mib = max(one.memory_mib for one in plan.every_guest)
    guests_mib = [one.memory_mib for one in plan.guests] or [largest_mib]
    found = preflight.problems(
        facts,
        storage_need_bytes=estimate.shared_bytes,
        needs=_needs(plan),
        guests_mib=guests_mib,
        link=link.problem(plan, rig.pair.link_bit_s),
        encrypted_until=end if encrypted and not rig.played else None,
    )
    if found:
        raise PrerequisiteError(
            "the rig cannot carry this campaign",
            where=str(rig.pair.inventory),
            why="\n       ".join(str(problem) for problem in found),
            remedy="mend what is named; nothing was touched",
        )


def _require_attestation(plan: Plan, rig: Rig, provenance: Provenance) -> Mapping[str, Path]:
    """The files by which machines will be judged and responses decided; empty where nothing is attested."""
    if plan.attest is None or provenance.registry is None:
        return {}
    files = appraisal_files.locate(plan.attest, rig.image_key, provenance.references)
    with open_registry(provenance.registry, pair=rig.pair.name) as registry:
        appraisal_files.require(plan.attest, files, registry)
    if plan.respond is None:
        return files
    scenarios.check_playable(rig.pair.tpm, HOSTS)
    response = policy_file.locate(plan.respond.policy)
    policy_file.load(response)
    return {**files, _RESPONSE_POLICY: response}


def _needs(plan: Plan) -> dict[str, Sequence[str]]:
    """What each workload of the plan, as it was chosen, needs on the client."""
    found: dict[str, Sequence[str]] = {}
    for trial in plan.trials:
        needs = workloads.make(trial.workload, trial.options).needs
        found[trial.workload] = tuple(dict.fromkeys((*found.get(trial.workload, ()), *needs)))
    return found


def _need_space(folder: Path, plan: Plan, rig: Rig) -> None:
    need = estimates.estimate(plan, rig.accelerator).results_bytes
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < need:
        raise StorageError(
            f"{free / 1e6:.0f} MB free for the results, {need / 1e6:.0f} MB needed",
            where=str(folder),
            remedy="free space, or choose another place with --results",
        )


def _manifest(run: RunFolder, plan: Plan, rig: Rig, provenance: Provenance) -> dict[str, Json]:
    registry: dict[str, Json] = {}
    if plan.attest is not None and provenance.registry is not None and not rig.played:
        registry["registry"] = url.shown(make_url(provenance.registry))
    return {
        "schema": store.SCHEMA_VERSION,
        "run": run.root.name,
        "version": __version__,
        "commit": provenance.commit,
        "command": list(provenance.command_line),
        "campaign": plan.campaign,
        "plan_hash": plan.hash,
        "seed": plan.seed,
        **setup(plan, rig),
        "inventory": None if provenance.inventory is None else str(provenance.inventory.resolve()),
        "controller": socket.gethostname(),
        "started_utc": datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        **registry,
    }


def setup(plan: Plan, rig: Rig) -> dict[str, Json]:
    """What a manifest records of the rig and of how it migrates: what two runs must share to be compared."""
    said = {encryption.KEY: encryption.of_run(plan), **({played.KEY: True} if rig.played else {})}
    pair = {"rig": rig.pair.rig, "link_bit_s": rig.pair.link_bit_s}
    return {**said, **pair, "accelerator": rig.accelerator, "image_key": rig.image_key}


def _write_facts(run: RunFolder, facts: Mapping[str, Mapping[str, Json]], when: str) -> None:
    for role, values in facts.items():
        write_json(run.environment(role, when), values)


def carry_out(
    run: RunFolder,
    rig: Rig,
    clock: Clock,
    interrupt: Interrupt,
    *,
    registry: Registry | None = None,
    listener: Listener = lambda _event: None,
) -> state.RunState:
    """Run every trial that remains of `run`, then write the sums of its evidence and compute its metrics.

    `registry` is where attestation results go; a plan without attestation needs none. Used for the first
    start and for a resume alike: the difference is what the journal holds.

    Raises:
        AlteredError: The evidence is not what it was when the run was interrupted; nothing was done.
        PrerequisiteError: The run was played and the rig is not, or the other way round; nothing was done.
        InterruptedRunError: The user asked to stop; what was finished is kept.
        IncompleteRunError: Every trial was tried and some are not valid.
        RigLockedError: Another process carries this run out.
        UnreachableError: A machine is gone; what was finished is kept.
        StorageError: The results disk is full; what was finished is kept.
    """
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    if played.is_played(run) != rig.played:
        raise PrerequisiteError(
            "a played run goes on played, and a measured one on its machines",
            where=str(run.root),
            remedy="leave --inventory and --script to runs that they belong to",
        )
    with seal.held(run):
        checked = seal.reopen(run)
        try:
            with _opened(run, plan, clock, listener, checked=checked) as writer:
                try:
                    _trials(run, plan, rig, writer, clock, interrupt, _run_attestation(run, plan, registry))
                    _write_facts(run, rig.facts(), "after")
                except (SodbenchError, KeyboardInterrupt) as error:
                    _close_aborted(
                        writer, error.summary if isinstance(error, SodbenchError) else "aborted by the user"
                    )
                    raise
                writer.add(RunFinished(), durable=True)
        except (SodbenchError, KeyboardInterrupt):
            _seal_aborted(run)
            raise
        return conclude(run)


def end(run: RunFolder, clock: Clock) -> state.RunState:
    """Bring a run to its end whose trials are all done but whose controller died before it was concluded.

    Where the evidence has no sums, the journal is told that it was opened again, so that the sums
    are not taken for those of the first end. Touches no machine; a run that was concluded stays as it is.

    Raises:
        AlteredError: The evidence is not what it was when the run ended.
        IncompleteRunError: Some trials are not valid.
        RigLockedError: Another process carries this run out.
        StorageError: The results cannot be written.
    """
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    with seal.held(run):
        sealed = seal.require(run)
        if sealed and run.metrics_parquet.exists():
            return state.fold(journal.read(run.journal), plan)
        if not sealed:
            with _opened(run, plan, clock, lambda _event: None, checked=False) as writer:
                writer.add(RunFinished(), durable=True)
        return conclude(run)


def _opened(run: RunFolder, plan: Plan, clock: Clock, listener: Listener, *, checked: bool) -> Journal:
    """The run's journal, which says that a process began to write to it.

    `checked` is whether what it holds already was found to be as the sums of the run's last end have it.
    """
    next_seq = journal.repair_tail(run.journal) if run.journal.exists() else 0
    writer = Journal(run.journal, clock, next_seq=next_seq, listener=listener)
    try:
        is_played = played.by_manifest(read_manifest(run))
        first = _opening(plan, is_played=is_played, checked=checked if next_seq > 0 else None)
        writer.add(first, durable=True)
    except BaseException:
        writer.close()
        raise
    return writer


def _opening(plan: Plan, *, is_played: bool, checked: bool | None) -> Opening:
    """What a process says first: that the run began or, where `checked` is known, that it goes on."""
    started = RunStarted(
        plan_hash=plan.hash,
        seed=plan.seed,
        version=__version__,
        boot_id=boot_id(),
        realtime_ns=realtime_ns(),
        controller=socket.gethostname(),
        played=is_played,
    )
    return started if checked is None else RunResumed(**started.model_dump(), sums=checked)


def _close_aborted(writer: Journal, reason: str) -> None:
    """Say why the run ended early; on a full disk the journal's silence says it."""
    try:
        writer.add(RunAborted(reason=reason), durable=True)
    except StorageError:
        return


def _seal_aborted(run: RunFolder) -> None:
    """Write the sums of a run that ended early; where even that fails it has none, and every verb says so."""
    try:
        seal.close(run)
    except (StorageError, RecordError):
        return


def _run_attestation(run: RunFolder, plan: Plan, registry: Registry | None) -> RunAttestation | None:
    if plan.attest is None or registry is None:
        return None
    response = run.attestation / _RESPONSE_POLICY
    return RunAttestation(
        attest=plan.attest,
        appraisal=appraisal_files.kept(run),
        registry=registry,
        run=run.root.name,
        response=None if plan.respond is None else policy_file.load(response),
    )


def _trials(
    run: RunFolder,
    plan: Plan,
    rig: Rig,
    writer: Journal,
    clock: Clock,
    interrupt: Interrupt,
    run_attestation: RunAttestation | None,
) -> None:
    standing = state.fold(journal.read(run.journal), plan)
    manifest = read_manifest(run)
    for trial in standing.remaining:
        if interrupt.asked:
            raise InterruptedRunError("interrupted", remedy="`sodbench resume` goes on with the next trial")
        rig.check()
        number = standing.next_attempt(trial.id)
        folder = run.attempt(trial.id, number)
        _make(folder)
        record = Record(journal=writer, clock=clock, folder=folder, trial=trial.id, attempt=number)
        here = encryption.as_begun(plan.under(trial.variant), manifest, trial.variant)
        asked = run_attestation
        if asked is not None and here.attest is not None:
            asked = replace(asked, attest=here.attest)
        AttemptRun(rig, here, trial, record, interrupt, asked).perform()


def _make(folder: Path) -> None:
    """Make an attempt's folder; an empty one is of a controller that died before it journalled the attempt.

    Raises:
        StorageError: It cannot be made, or holds files that no event tells of.
    """
    try:
        if folder.is_dir() and not any(folder.iterdir()):
            return
        folder.mkdir(parents=True)
    except OSError as error:
        raise disk.failure("the attempt's folder cannot be made", folder, error) from error


def conclude(run: RunFolder) -> state.RunState:
    """Write the sums of a run's evidence where it has none yet, and compute its metrics: the run is over.

    The sums come first: whatever fails then, the evidence is known to be what was recorded.

    Raises:
        IncompleteRunError: Some trials are not valid.
        RecordError: A file cannot be read.
        StorageError: The sums or the metrics cannot be written.
    """
    plan = plans.from_json(read_json(run.plan), where=str(run.plan))
    if not seal.is_sealed(run):
        seal.close(run)
    results.write(run)
    seal.keep_derived(run)
    standing = state.fold(journal.read(run.journal), plan)
    bad = [one for one in standing.trials if one.counted is None or one.counted.verdict != "valid"]
    if bad:
        # Of each the cause alone: it is the first reason, and `status` lists the others.
        causes = "".join(
            f"\n    {one.trial.id}: {one.counted.verdict}: {(*one.counted.reasons, '')[0]}"
            if one.counted
            else f"\n    {one.trial.id}: pending: not run"
            for one in bad
        )
        raise IncompleteRunError(
            f"{len(bad)} of {len(standing.trials)} trials are not valid",
            where=str(run.root),
            why=f"in the order of the plan:{causes}",
            remedy="`sodbench status` has every reason; `sodbench report` shows the valid ones",
        )
    return standing
