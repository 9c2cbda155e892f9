"""A new user's first minutes, on each Debian that a controller may have: clone, set up, run tests.

The clone lies in root's home, the system is minimal, and nothing may be skipped. `make test` gives this the
time that the lab's tests leave, so nothing here depends on how long it takes.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.setup import containers

pytestmark = pytest.mark.lab

_LIMIT_S = 5400.0
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

ONE_OF_EACH = (
    "tests/registry/test_bad_weather.py::test_a_worker_without_rights_reads_on_what_is_in_its_users_home",
    "tests/registry/test_bad_weather.py::test_a_server_that_ends_is_named_and_found_again_once_it_is_back",
    "tests/attest/test_eventlog_tool.py::TestAgainstTpm2Eventlog::test_same_events",
    "tests/report/test_latex.py::test_it_compiles_by_itself_and_within_another_document",
    "tests/workloads/generators/test_locust.py::test_a_real_run_is_valid_and_ends_on_sigterm",
    "tests/workloads/generators/test_mstone.py::test_the_command_in_a_real_shell_prints_what_mstone_left",
    "tests/playbooks/test_measure.py::test_the_logs_of_a_start_lead_to_the_pcrs",
)
"""One for each of these programs: of this machine's own Debian `make programs` runs all the others."""


def selected(suite: str) -> tuple[str, ...]:
    """The tests that run on the Debian `suite`."""
    return ONE_OF_EACH if platform.freedesktop_os_release().get("VERSION_CODENAME") == suite else SELECTION


def set_up(suite: str) -> containers.Ended:
    system = containers.system(suite)
    with containers.scratch() as folder:
        upper = folder / "upper"
        containers.clone(upper / containers.CLONE)
        script = (
            f"cd /{containers.CLONE}; make --silent setup; .venv/bin/python --version\n"
            f".venv/bin/sodbench plan campaigns/demo.yml; virsh --version\n"
            f".venv/bin/python -m pytest -q -p no:cacheprovider {' '.join(selected(suite))}\n"
        )
        return system.run(script, upper=upper, timeout_s=_LIMIT_S)


@pytest.fixture(scope="module")
def ends() -> Iterator[Mapping[str, Future[containers.Ended]]]:
    """How each ends; they are set up side by side, because much of it is waiting for files."""
    with ThreadPoolExecutor(len(PYTHONS)) as pool:
        yield {suite: pool.submit(set_up, suite) for suite in PYTHONS}


@pytest.mark.parametrize("suite", PYTHONS)
def test_a_clone_in_roots_home_is_set_up_and_skips_nothing(
    suite: str, ends: Mapping[str, Future[containers.Ended]]
) -> None:
    ended = ends[suite].result()
    assert ended.status == 0, ended.output[-6000:]
    assert f"Python {PYTHONS[suite]}." in ended.output
    assert re.search(r"^\d+ passed(, \d+ warnings?)? in ", ended.output, re.MULTILINE), ended.output[-2000:]
