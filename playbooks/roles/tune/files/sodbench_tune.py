#!/usr/bin/env python3
"""Sets a host so that measurements on it repeat, and puts back every value that it had before.

Runs on the host with its own Python (3.10 or later) and nothing but the standard library. ``tune`` reads the
wanted settings as one JSON object from standard input, ``restore`` needs none; both print one JSON object.

Every value is saved before the first is written: the restore file is complete and on the disk (fsync of the
file and of its folder) by then. There is one for each boot of the machine, and it goes only when every value
was read back as it was. Killed at any moment, the next ``restore`` or ``tune`` finds it and goes on. One lock
keeps a second process out; it ends with its holder. A setting that cannot be made undoes those before it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from sodbench_settings import Machine, TuneError, Value, planned, wanted_of

KEEP = "/var/lib/sodbench/tune"
SCHEMA = 1


def file_of(machine: Machine, boot: str) -> Path:
    """The restore file of that boot."""
    return machine.keep / f"restore-{boot}.json"


def load(path: Path) -> list[Value]:
    """The values of a restore file.

    Raises:
        TuneError: The file is not a restore file of this version.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["schema"] != SCHEMA:
            raise TuneError(f"{path} has schema {said['schema']}, and this version reads {SCHEMA}")
        return [Value(**one) for one in said["values"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TuneError(f"{path} cannot be read: {error}") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)


def save(machine: Machine, values: Sequence[Value]) -> None:
    """Write this boot's restore file; it is on the disk when this returns."""
    path = file_of(machine, machine.boot)
    made = path.with_suffix(".new")
    text = json.dumps({"schema": SCHEMA, "boot": machine.boot, "values": [asdict(one) for one in values]})
    with made.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    _sync(machine.keep)


@contextlib.contextmanager
def locked(machine: Machine) -> Iterator[None]:
    """Be the only one who tunes this machine; the lock ends with the process."""
    machine.keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sync(machine.keep.parent)
    handle = os.open(machine.keep / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise TuneError("another process tunes or restores this machine; wait until it ends") from error
    try:
        for cut_short in machine.keep.glob("*.new"):
            cut_short.unlink()
        yield
    finally:
        os.close(handle)


def restore(machine: Machine) -> list[str]:
    """Put back what the restore files say, those of earlier boots first; the paths that were written.

    After a reboot the kernel has set most values itself, and who administers the machine may have set others
    since: of an earlier boot's values, those that still are as they were tuned are put back.

    Raises:
        TuneError: A value could not be put back; the others were, and its file stays.
    """
    boot = machine.boot
    files = sorted(machine.keep.glob("restore-*.json"), key=lambda path: path == file_of(machine, boot))
    written: list[str] = []
    failed: list[str] = []
    for file in files:
        problems = []
        for value in _in_restore_order(load(file)):
            try:
                written += _put_back(machine, value, this_boot=file == file_of(machine, boot))
            except (OSError, TuneError) as error:
                problems.append(f"/{value.path}: {error}")
        if not problems:
            file.unlink()
            _sync(machine.keep)
        failed += problems
    if failed:
        raise TuneError(
            "not every value could be put back, and `restore` tries again: " + "; ".join(failed[:20])
        )
    return written


def _in_restore_order(values: Sequence[Value]) -> list[Value]:
    smt = [one for one in values if one.setting == "smt"]
    return smt + [one for one in reversed(values) if one.setting != "smt"]


def _put_back(machine: Machine, value: Value, *, this_boot: bool) -> list[str]:
    if not this_boot and not machine.has(value.path):
        return []  # another kernel, which has no such setting
    found = machine.read(value.path)
    if found == value.before or (not this_boot and found != value.after):
        return []
    machine.write(value.path, value.before)
    return [value.path]


def _merged(kept: Sequence[Value], changing: Sequence[Value]) -> list[Value]:
    """What to put back: of a path that was saved already, the value before its first change."""
    before = {one.path: one.before for one in kept}
    again = {one.path: replace(one, before=before.get(one.path, one.before)) for one in changing}
    return [again.pop(one.path, one) for one in kept] + list(again.values())


def tune(machine: Machine, wanted: Mapping[str, str]) -> dict[str, object]:
    """Make the settings; a host that is tuned already keeps the values that were saved first.

    Raises:
        TuneError: One cannot be made; every value was put back, or the message says which was not.
    """
    own = file_of(machine, machine.boot)
    if any(path != own for path in machine.keep.glob("restore-*.json")):
        restore(machine)
    values, left = planned(machine, wanted)
    changing = [one for one in values if one.before != one.after]
    if changing:
        save(machine, _merged(load(own) if own.exists() else [], changing))
    changed = []
    try:
        for value in changing:
            if machine.has(value.path):  # else a sibling's, which went off-line with SMT
                machine.write(value.path, value.after)
                changed.append(value.path)
    except (OSError, TuneError) as error:
        try:
            restore(machine)
        except TuneError as second:
            raise TuneError(f"{error}; then: {second}") from second
        raise TuneError(f"{error}; every value was put back") from error
    return {"changed": changed, "left": left}


def show(machine: Machine) -> dict[str, object]:
    """What is tuned, by the restore files: each value with what it was, should be and is."""
    found = []
    for file in sorted(machine.keep.glob("restore-*.json")):
        for value in load(file):
            try:
                now: str | None = machine.read(value.path)
            except (OSError, TuneError):
                now = None
            found.append({**asdict(value), "now": now, "this_boot": file == file_of(machine, machine.boot)})
    return {"tuned": found}


def main() -> int:
    """Do what is asked; 0 where the host is as it was asked for, 1 where it is not and why."""
    parser = argparse.ArgumentParser(description="Tune this host for measurements, and restore it.")
    parser.add_argument("action", choices=("tune", "restore", "show"))
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--keep", type=Path, default=Path(KEEP))
    parser.add_argument("--systemctl", default="systemctl")
    asked = parser.parse_args()
    machine = Machine(asked.root, asked.keep, asked.systemctl)
    try:
        if asked.action == "show":
            said = show(machine)
        else:
            wanted = wanted_of(sys.stdin.read()) if asked.action == "tune" else {}
            with locked(machine):
                if asked.action == "tune":
                    said = tune(machine, wanted)
                else:
                    said = {"changed": restore(machine), "left": {}}
    except (OSError, ValueError, TuneError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
