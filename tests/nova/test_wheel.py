"""The filter's wheel carries the policy core, whole and unchanged, and needs nothing else of the project."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import sortedcontainers  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
FILTER = ROOT / "openstack/filter"

CLOSURE = """
import json, sys
import harness.policy.nova.hosts, harness.policy.nova.metadata, harness.policy.nova.table
tops = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
files = [one.__file__ for name, one in sys.modules.items() if name.split(".")[0] == "harness"]
print(json.dumps([sorted(tops), files]))
"""


def closure() -> tuple[set[str], set[str]]:
    """What the core imports: packages that are not Python's own, and files of the harness."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path[:0] = {_places()}\n{CLOSURE}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tops, files = json.loads(done.stdout)
    return set(tops), {str(Path(one).relative_to(ROOT)) for one in files}


def _places() -> list[str]:
    return [str(ROOT), str(Path(sortedcontainers.__file__).parents[1])]


def carried() -> set[str]:
    """The files that the wheel takes from the project."""
    told = tomllib.loads((FILTER / "pyproject.toml").read_text())
    files = told["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all(source.removeprefix("../../") == to for source, to in files.items() if source.endswith(".py"))
    return {source.removeprefix("../../") for source in files if source.endswith(".py")}


def test_the_core_imports_sortedcontainers_alone_and_the_wheel_carries_it_whole() -> None:
    packages, files = closure()
    assert packages - {"__main__"} == {"harness", "sortedcontainers"}
    assert carried() == files


@pytest.mark.programs
def test_the_wheel_is_what_the_project_has(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline"]
    done = subprocess.run(
        [*build, "--out-dir", str(tmp_path), str(FILTER)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        own = {f"sodbench_nova_filter/{path.name}" for path in (FILTER / "sodbench_nova_filter").glob("*.py")}
        assert names == carried() | own | {"sodbench_nova_filter/table3_capabilities.csv"}
        for name in carried():
            assert wheel.read(name) == (ROOT / name).read_bytes()
