"""The filter's wheel inside a real Nova: its tests run in Nova's environment, and each must pass there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.skips import NOVA, ROOT, with_nova

pytestmark = [pytest.mark.programs, with_nova]

FILTER = ROOT / "openstack/filter"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, unpacked as an installer would."""
    folder = tmp_path_factory.mktemp("filter")
    build = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline"]
    subprocess.run([*build, "--out-dir", str(folder), str(FILTER)], capture_output=True, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_filter_does_in_nova_what_it_promises(site: Path) -> None:
    done = subprocess.run(
        [str(NOVA / "bin/python"), "-W", "ignore", "-m", "unittest", "--verbose", "test_cloud"],
        cwd=FILTER / "tests",
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-20_000:]
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran[1]) >= 9
    assert "skipped" not in done.stderr
