"""Fixtures that tests share: the lab, and one short run in it that many tests look at.

The lab is the real one. It is brought up once for all tests that ask for it, and taken down afterwards unless
it was up before; its cache stays, so that only the first run of the tests on a machine builds anything.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from harness.evidence import folder as store
from harness.evidence.folder import RunFolder
from harness.rig.lab import lab as labs
from tests import selection, sharing, skips
from tests.sharing import ByFile

if TYPE_CHECKING:
    from xdist.remote import Producer

SODBENCH = Path(sys.executable).with_name("sodbench")

# While the lab runs, a slow example shows what else the machine had to do, not a fault.
settings.register_profile("while the lab runs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("while the lab runs")


# What is imported and collected stays until the end. To look through it for garbage takes a good part of the
# time of both, and afterwards of every test and of every child that is forked.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage in what comes now, and no more in what has been made."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped without a good reason has failed, in whatever process it runs."""
    report = yield
    skips.judge(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """And so has a file that is skipped as a whole."""
    report = yield
    skips.judge(report)
    return report


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file none of whose tests `-m` asks for: imports take longer than many a test."""
    is_file = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if is_file and not selection.can_hold(collection_path, config.getoption("markexpr")):
        return True
    return None  # for others to say


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest; in the lab, with what builds machines of it again."""
    selection.check(items)
    items.sort(key=lambda item: sharing.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Share out by file and by what shares fixtures, for `--dist loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@dataclass(frozen=True, slots=True)
class Finished:
    """How a `sodbench` command ended."""

    status: int
    output: str

    def __str__(self) -> str:
        return f"exit status {self.status}\n{self.output}"


@dataclass(frozen=True, slots=True)
class Lab:
    """The lab that is up, and the command line as a user has it."""

    places: labs.Places

    @property
    def inventory(self) -> Path:
        """The inventory that `lab up` wrote."""
        return self.places.inventory

    def sodbench(self, *arguments: str | Path, timeout_s: float = 600.0) -> Finished:
        """Run the command to its end; standard output and error in one."""
        done = subprocess.run(
            [str(SODBENCH), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Finished(done.returncode, done.stdout)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command and return at once; it is the caller's to end."""
        return subprocess.Popen(
            [str(SODBENCH), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ssh(self, machine: str, command: str) -> str:
        """The output of `command` on a machine of the lab."""
        argv: Sequence[str] = [*labs.ssh_argv(self.places, machine), command]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout

    def domains(self) -> dict[str, str]:
        """What `virsh list --all --name` says on each host, stripped."""
        return {role: self.ssh(role, "virsh list --all --name").strip() for role in ("a", "b")}


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab, up and provisioned, with its guest image."""
    if os.geteuid() != 0:
        pytest.skip(skips.NEEDS_ROOT)
    places = labs.Places()
    was_up = all(one.answers for one in labs.status(places))
    up = Lab(places)
    try:
        for arguments in (("lab", "up"), ("provision",)):
            done = up.sodbench(*arguments, timeout_s=1500)
            assert done.status == 0, done
        yield up
    finally:
        if not was_up:
            labs.down(places)


@pytest.fixture(scope="session")
def smoke_run(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of campaigns/smoke.yml in the lab: idle and file, two migrations each."""
    results = tmp_path_factory.mktemp("smoke")
    done = lab.sodbench("run", "smoke", "--results", results)
    assert done.status == 0, done
    return store.find(results)
