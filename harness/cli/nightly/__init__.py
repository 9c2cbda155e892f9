"""`sodbench nightly`: one command a night, with one exit code, and the timer that starts it."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from harness.campaign.nightly import file as files
from harness.campaign.nightly import ledger as ledgers
from harness.campaign.nightly import lock, night
from harness.campaign.nightly.file import Nightly
from harness.campaign.nightly.ledger import Ledger, Step
from harness.campaign.nightly.night import Asked, Night, Steps, Times
from harness.cli.nightly import install as installing
from harness.cli.nightly import steps as real
from harness.cli.terminal import Output
from harness.clock import NS_PER_S, MonotonicClock, realtime_ns, sleep
from harness.errors import SodbenchError
from harness.interrupt import terminated
from harness.rig.lock import holder_name

if TYPE_CHECKING:
    from typer._click.core import Command, Context


class _FileFirst(TyperGroup):
    """A group whose first word may be a file: then that is the night to run."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The verb, or `run` where the first word names a file."""
        known = args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["run", *args])


nightly = typer.Typer(
    cls=_FileFirst,
    help="Run a night: a campaign with gate, trend and published report, on hosts tuned and restored "
    "(docs/nightly.md).",
    no_args_is_help=True,
)
FilePath = Annotated[Path, typer.Argument(metavar="FILE", help="What the night is: a YAML file.")]


@nightly.command("run")
def run(file: FilePath) -> None:
    """Run the night that FILE describes; `sodbench nightly FILE` is the same.

    Restores what an earlier night left tuned, checks, tunes, runs, restores, judges, publishes and clears
    away. Ends with the exit code of the first step that failed, whatever the later ones do.
    """
    asked = files.load(file)
    raise typer.Exit(carry_out(asked, _steps(asked)))


@nightly.command()
def install(
    file: FilePath,
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When it begins, local time.")] = "02:00",
) -> None:
    """Have systemd start the night that FILE describes each day, with a service and a timer. Needs root.

    Where systemd does not run this machine, nothing is written; the line for cron is printed (4).
    """
    installing.install(files.load(file), at, installing.HERE)


class _NoHosts:
    """The hosts of a played rig: there are none to set, and a file that asks for it is refused."""

    def tune(self) -> None:
        """Never asked for."""

    def restore(self) -> None:
        """Nothing is tuned."""


def _steps(asked: Nightly) -> Steps:
    if asked.played:
        return real.RealSteps(asked, _NoHosts())
    return real.RealSteps(asked, real.RigHosts(asked))


def carry_out(asked: Nightly, steps: Steps) -> int:
    """Run the night with these steps, alone in its folder; its exit code.

    Raises:
        RigLockedError: Another night did not end within the time to wait.
        StorageError: The night cannot be recorded; no host was touched.
    """
    output, errors = Output(), Output(error=True)
    clock = MonotonicClock()
    times = Times(now=_now, monotonic_s=lambda: clock.now_ns() / NS_PER_S, sleep=sleep)
    until_s = times.monotonic_s() + asked.wait_s
    with ExitStack() as stack:
        stack.enter_context(terminated())
        night.patiently(
            lambda: stack.enter_context(
                lock.held(asked.nights, holder_name(f"sodbench nightly {asked.file}"))
            ),
            times,
            until_s,
            lambda error: output.say(f"Waiting: {error.summary}"),
        )
        before, damaged = ledgers.earlier(asked.nights)
        for one in damaged:
            _fail(errors, one)
        tonight = Night(
            folder=asked.nights,
            ledger=ledgers.begun(asked.file, before, _now()),
            before=before,
            owed=bool(damaged) or ledgers.owes_restore(before),  # what cannot be read may tell of tuned hosts
            asked=Asked(tune=asked.tune, gate=asked.baseline is not None, keep=asked.keep),
            steps=steps,
            times=times,
            until_s=until_s,
            tell=lambda step: _tell(output, step),
            failed=lambda error: _fail(errors, error),
        )
        code = tonight.carry_out()
    _show(output, tonight.ledger, asked.nights)
    return code


def _now() -> datetime:
    return datetime.fromtimestamp(realtime_ns() / NS_PER_S, tz=UTC)


def _tell(output: Output, step: Step) -> None:
    if step.outcome == "running":
        output.say(f"-- {step.name}")


def _fail(errors: Output, error: SodbenchError) -> None:
    errors.error(error.kind, error.where, error.what, error.why, error.remedy)


def _show(output: Output, ledger: Ledger, folder: Path) -> None:
    """Every step on a line, then where the record is."""
    output.say()
    output.table(("step", "outcome", "code", ""), [_row(step) for step in ledger.steps], right=("code",))
    output.say(f"record: {folder / ledger.night}.json", f"exit code: {ledger.exit_code}")


def _row(step: Step) -> tuple[str, ...]:
    return step.name, step.outcome, "" if step.outcome == "skipped" else str(step.exit_code), step.told
