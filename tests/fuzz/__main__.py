"""Coverage-guided fuzzing of one reader: ``python -m tests.fuzz TARGET [--seconds N] [--runs N] [FILE ...]``.

With files it only reads them again, which is how a fault that was found is looked at. New inputs that reached
further are kept in the corpus folder, so that the next run goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType

import atheris  # type: ignore[import-untyped]


def instrumented() -> ModuleType:
    """The targets, imported so that the fuzzer sees which branches of the project's readers are taken."""
    with atheris.instrument_imports(include=["harness.attest", "harness.yaml_source", "harness.yaml_model"]):
        return importlib.import_module("tests.fuzz.targets")


def main() -> None:
    targets = instrumented().TARGETS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(targets))
    parser.add_argument("files", nargs="*", type=Path, help="read these again instead of making inputs")
    parser.add_argument("--seconds", type=int, default=0, help="how long; 0: until it is interrupted")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs; -1: any number")
    parser.add_argument("--longest", type=int, default=4096, metavar="BYTES", help="the longest input")
    parser.add_argument("--seed", type=int, default=0, help="of the choices; 0: another each time")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="where inputs are kept")
    asked = parser.parse_args()
    target = targets[asked.target]
    for path in asked.files:
        target.consume(path.read_bytes())
    if asked.files:
        return
    corpus, found = asked.corpus / asked.target, asked.corpus / "faults"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    options = {
        "artifact_prefix": f"{found}/{asked.target}-",
        "max_len": asked.longest,
        "max_total_time": asked.seconds,
        "runs": asked.runs,
        "seed": asked.seed,
        "timeout": 20,
        "verbosity": 1 if sys.stderr.isatty() else 0,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.consume)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
