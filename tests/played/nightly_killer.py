"""Kills nights on a played rig whose hosts are a recorded tree, each at a drawn operation of a drawn step.

``nightly_killer.py FILE TREE SEED MOST`` lets nights be killed by SIGKILL: at the beginning of every step,
and in every step right after its n-th operation (write, fsync, rename, removal), n drawn by SEED up to MOST.
After each kill another night begins, which does not tune and is killed once it has put back what it found. It
prints a line for each kill: step, n, how the night ended, whether hosts were tuned then, and whether every
value was as before after the next start. The last night is left alone; its exit code is this program's.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.campaign.nightly import file as files
from harness.campaign.nightly import ledger as ledgers
from harness.campaign.nightly.ledger import Ledger
from harness.cli import nightly
from harness.cli.nightly.steps import RealSteps
from tests.rig.tune import machines
from tests.rig.tune.compare import values

STEPS = ("restore earlier", "preflight", "tune", "run", "restore", "gate", "publish", "keep", "trend")


class TreeHosts:
    """Hosts that are one recorded tree, set by the program that sets a real host."""

    def __init__(self, root: Path) -> None:
        sys.path.insert(0, str(machines.PROGRAM))
        self._program: Any = importlib.import_module("sodbench_tune")
        self._machine = self._program.Machine(root, root / "keep", str(root / "systemctl"))

    def tune(self) -> None:
        with self._program.locked(self._machine):
            self._program.tune(self._machine, {name: str(value) for name, value in machines.SETTINGS.items()})

    def restore(self) -> None:
        with self._program.locked(self._machine):
            self._program.restore(self._machine)


def die_after(operations: int) -> None:
    """Have this process die right after that many operations; at once for 0."""
    if operations == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left = [operations]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **given: Any) -> Any:
            result = real(*args, **given)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return operation

    for name in ("write", "fsync", "replace", "unlink", "rename", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))


def armed(step: str, operations: int) -> None:
    """Have this process die in that step of its night."""
    store = ledgers.store

    def storing(folder: Path, ledger: Ledger) -> None:
        store(folder, ledger)
        last = ledger.steps[-1] if ledger.steps else None
        if last is not None and (last.name, last.outcome) == (step, "running"):
            die_after(operations)

    ledgers.store = storing


def night(
    file: Path, hosts: TreeHosts, *, tune: bool, step: str = "", operations: int = 0
) -> tuple[int | None, str]:
    """A night in a child of this process: its exit code, None where it was killed; and what it said."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writes, 1)
        os.dup2(writes, 2)
        if step:
            armed(step, operations)
        asked = files.load(file).model_copy(update={"tune": tune})
        os._exit(nightly.carry_out(asked, RealSteps(asked, hosts)))
    os.close(writes)
    with os.fdopen(reads, "rb") as said:
        text = said.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return (None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), text


def main() -> int:
    file, tree, seed, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    draw, hosts, before = random.Random(seed), TreeHosts(tree), values(tree)
    for _ in range(2):  # so that later nights have something to clear away
        code, said = night(file, hosts, tune=True)
        assert code == 0, said
    kills = [(step, 0) for step in STEPS] + [(step, draw.randint(1, most)) for step in STEPS]
    draw.shuffle(kills)
    for step, operations in kills:
        code, said = night(file, hosts, tune=True, step=step, operations=operations)
        tuned = values(tree) != before
        if code is None:
            again, said = night(file, hosts, tune=False, step="preflight")
            assert again is None, said
        print(step, operations, "killed" if code is None else code, tuned, values(tree) == before, sep="\t")
    code, said = night(file, hosts, tune=True)
    print(said, file=sys.stderr)
    assert code is not None
    return code


if __name__ == "__main__":
    sys.exit(main())
