"""A new user's first minutes, on each Debian that a controller may have: clone, set up, run tests.

The clone lies in root's home, the system is minimal, and nothing may be skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.setup import containers

pytestmark = pytest.mark.lab

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
SELECTION = (
    "tests/registry/test_bad_weather.py",
    "tests/attest/adversary/test_differential.py",
    "tests/attest/test_eventlog_tool.py",
    "tests/report/test_latex.py",
    "tests/workloads/generators/test_locust.py::test_a_real_run_is_valid_and_ends_on_sigterm",
    "tests/workloads/generators/test_mstone.py",
    "tests/playbooks/test_measure.py::test_the_logs_of_a_start_lead_to_the_pcrs",
)
"""Those that need PostgreSQL, a software TPM, LaTeX, locust or Perl, or a worker without rights."""


def set_up(system: containers.System) -> containers.Ended:
    with containers.scratch() as folder:
        upper = folder / "upper"
        containers.clone(upper / containers.CLONE)
        script = (
            f"cd /{containers.CLONE}; make --silent setup; .venv/bin/python --version\n"
            f".venv/bin/sodbench plan campaigns/demo.yml; virsh --version\n"
            f".venv/bin/python -m pytest -q -p no:cacheprovider {' '.join(SELECTION)}\n"
        )
        return system.run(script, upper=upper, timeout_s=900)


@pytest.fixture(scope="module")
def ends() -> Iterator[Mapping[str, Future[containers.Ended]]]:
    """How each ends; they are set up side by side, because much of it is waiting for files."""
    systems = {suite: containers.system(suite) for suite in PYTHONS}
    with ThreadPoolExecutor(len(systems)) as pool:
        yield {suite: pool.submit(set_up, system) for suite, system in systems.items()}


@pytest.mark.parametrize("suite", PYTHONS)
def test_a_clone_in_roots_home_is_set_up_and_skips_nothing(
    suite: str, ends: Mapping[str, Future[containers.Ended]]
) -> None:
    ended = ends[suite].result()
    assert ended.status == 0, ended.output[-6000:]
    assert f"Python {PYTHONS[suite]}." in ended.output
    assert re.search(r"^\d+ passed(, \d+ warnings?)? in ", ended.output, re.MULTILINE), ended.output[-2000:]
