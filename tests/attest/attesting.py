"""Attesters for tests: the real program in a process of its own, with a configuration made for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import resources
from harness.attest.attester.contract import Ask, Limits
from harness.attest.evidence import KeyType
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm
from harness.clock import MonotonicClock

FILES = resources.playbooks() / "roles/attester/files"
PROGRAM = FILES / "sodbench_attester.py"
PYTHON = "/usr/bin/python3"
KINDS: tuple[KeyType, ...] = ("ecc-p256", "rsa-2048")
NONCE = bytes(range(32))
LIMITS = Limits(start_s=30, request_s=20, key_s=40)
AK_HANDLES: Mapping[KeyType, int] = {"ecc-p256": 0x81010100, "rsa-2048": 0x81010101}


def ask(
    key: KeyType = "ecc-p256", *, nonce: bytes = NONCE, pcrs: tuple[int, ...] = (0, 4, 7, 10), **more: Any
) -> Ask:
    return Ask(key=key, nonce=nonce, pcrs=pcrs, **more)


def configured(folder: Path, tcti: str, **entries: object) -> Path:
    """A configuration; an entry that is a mapping becomes a table."""
    lines = [f"tcti = {json.dumps(tcti)}"]
    tables = []
    for name, value in entries.items():
        if isinstance(value, Mapping):
            tables += [f"[{name}]", *(f"{one} = {_toml(what)}" for one, what in value.items())]
        else:
            lines.append(f"{name} = {_toml(value)}")
    path = folder / "attester.toml"
    path.write_text("\n".join([*lines, *tables]) + "\n")
    return path


def _toml(value: object) -> str:
    return json.dumps(str(value) if isinstance(value, Path) else value)


@contextmanager
def attesting(config: Path, *, limits: Limits = LIMITS) -> Iterator[LocalAttester]:
    """The attester, until the block ends."""
    attester = LocalAttester(config, MonotonicClock(), limits=limits)
    try:
        yield attester
    finally:
        attester.close()


def conversation(config: Path, *lines: str | bytes) -> list[dict[str, Any]]:
    """The program's answers to lines as they are, after the one that it is ready."""
    sent = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    done = subprocess.run(
        [PYTHON, "-BEs", str(PROGRAM), "--config", str(config)],
        input=sent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    ready, *answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(ready) == {"ready"}
    return answers


def with_library(code: str, *arguments: str) -> str:
    """What a script prints that uses the program's own modules, under the system's Python."""
    done = subprocess.run(
        [PYTHON, "-BEs", "-c", code, *arguments],
        cwd=FILES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def left_behind(tpm: LocalTpm) -> str:
    """Objects and sessions that a TPM still holds."""
    kinds = ("handles-transient", "handles-loaded-session", "handles-saved-session")
    return "".join(tpm.run("tpm2_getcap", kind).stdout for kind in kinds)
