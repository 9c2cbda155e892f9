"""Kills the tuning or the restoring of a recorded tree after each of its operations, and restores it then.

``killer.py PROGRAM MODE TREE WORK SETTINGS`` copies TREE to WORK/<n> for n = 0, 1, ..., lets the program of
that copy be killed by SIGKILL right after its n-th operation (write, fsync, rename, removal, start of a
program), and restores the copy. It ends with the first n at which the program came to its end, and prints n.
What it leaves in WORK is judged by ``compare.py``. Modes:

tune      killed while it tunes; restored
again     killed while it tunes; tuned once more; restored
reboot    killed while it tunes; the machine has another boot id; restored
restore   tuned; killed while it restores; restored
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

BOOT_ID = "proc/sys/kernel/random/boot_id"


def dying(killed_after: int) -> None:
    """Have this process die right after that many operations."""
    done = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **given: Any) -> Any:
            result = real(*args, **given)
            done[0] += 1
            if done[0] == killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return operation

    for name in ("write", "fsync", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    subprocess.run = counted(subprocess.run)


def act(action: str, root: Path, settings: str, killed_after: int | None = None) -> int | None:
    """Run the program in a child; its exit status, or None where it was killed."""
    child = os.fork()
    if child == 0:
        import sodbench_tune  # type: ignore[import-not-found]

        sys.stdin = io.StringIO(settings)
        sys.argv = ["tune", action, "--root", str(root), "--keep", str(root / "keep")]
        sys.argv += ["--systemctl", str(root / "systemctl")]
        if killed_after == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if killed_after:
            dying(killed_after)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = sodbench_tune.main()
        if status:
            sys.stderr.write(said.getvalue())
        os._exit(status)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def story(mode: str, root: Path, settings: str, killed_after: int) -> bool:
    """One copy's story; whether the kill came before the end."""
    if mode == "restore":
        assert act("tune", root, settings) == 0
    ended = act("restore" if mode == "restore" else "tune", root, settings, killed_after)
    assert ended in (None, 0)
    if mode == "again":
        assert act("tune", root, settings) == 0
    if mode == "reboot":
        (root / BOOT_ID).write_text("ffffffff-0000-4000-8000-000000000000\n")
    assert act("restore", root, settings) == 0
    return ended is None


def main() -> None:
    program, mode, tree, work, settings = sys.argv[1:]
    sys.path.insert(0, program)
    __import__("sodbench_tune")  # once, not in every child
    n = 0
    while True:
        root = Path(work) / str(n)
        shutil.copytree(tree, root)
        if not story(mode, root, settings, n):
            break
        n += 1
    print(n)


if __name__ == "__main__":
    main()
