"""Machines to tune: recorded trees, each with a systemctl of its own, and the program that tunes them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.rig.state import trees

PROGRAM = Path(__file__).parents[3] / "playbooks/roles/tune/files"
SETTINGS: dict[str, str | int] = {
    "irqbalance": "stopped",
    "smt": "off",
    "turbo": "off",
    "energy_preference": "performance",
    "governor": "performance",
    "wake_up_us": 3,
    "ksm": "stopped",
    "thp": "never",
    "numa_balancing": 0,
    "swappiness": 1,
    "tcp_no_metrics_save": 1,
}
SYSTEMCTL = """\
#!/bin/sh
state="$(dirname "$0")/services/$2"
case $1 in
    is-active) cat "$state" 2>/dev/null || echo inactive ;;
    start) echo active > "$state" ;;
    stop) echo inactive > "$state" ;;
esac
"""


def make(name: str, root: Path) -> Path:
    """A machine like the recorded one."""
    trees.make(name, root)
    program = root / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    return root


def run(root: Path, action: str, settings: Any = None) -> tuple[int, dict[str, Any]]:
    """The program's exit status on that machine, and what it said."""
    places = f"--root {root} --keep {root}/keep --systemctl {root}/systemctl".split()
    done = subprocess.run(
        [sys.executable, "-BEs", str(PROGRAM / "sodbench_tune.py"), action, *places],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)
