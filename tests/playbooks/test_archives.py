"""The load generators that come from an archive of the user's: checked, set up, marked, and then left alone.

The archives are made up (``made_up_kits.py``). They have the layout of mstone's and Faban's own, want what
those want, and have none of their programs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.workloads.generators import faban
from harness.workloads.generators.targets import Target
from tests.playbooks.made_up_kits import (
    archive,
    faban_kit,
    faban_that_prints,
    mstone_binaries,
    mstone_sources,
)
from tests.playbooks.test_lint import ROOT, load, tool
from tests.skips import as_root
from tests.workloads.generators.stamped import SITE, run, stamped

pytestmark = pytest.mark.programs


def apply(folder: Path, role: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Apply the role to this machine with an inventory in `folder`."""
    inventory = folder / "inventory.yml"
    machine = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"client": machine}}}))
    playbook = folder / "playbook.yml"
    playbook.write_text(f"- {{hosts: client, gather_facts: false, roles: [{role}]}}\n")
    given = {f"{role}_tree": str(folder / "installed" / role), "archive_cache": str(folder), **variables}
    if not (folder / "roles").exists():
        (folder / "roles").symlink_to(ROOT / "playbooks/roles")
    return tool(
        "ansible-playbook", "--inventory", str(inventory), "--extra-vars", json.dumps(given), str(playbook)
    )


@as_root
def test_mstone_is_set_up_once(tmp_path: Path) -> None:
    found = archive(tmp_path / "mstone-4.9.4.tar.gz", mstone_binaries())
    (tmp_path / "temp").mkdir()
    given = {"sodbench_mstone_archive": found, "mstone_temp": str(tmp_path / "temp")}
    done = apply(tmp_path, "mstone", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    tree = tmp_path / "installed/mstone"
    assert (tree / "bin/mailmaster.pl").is_file()
    assert (tree / "VERSION").read_text() == "4.9.4\n"
    assert (tmp_path / "temp/mailclient").is_file()
    assert sorted(path.name for path in tree.parent.iterdir()) == ["mstone"]
    again = apply(tmp_path, "mstone", **given)
    assert "changed=0" in again.stdout, again.stdout


FABAN = faban_that_prints("$JAVA_HOME", "$JDK_JAVA_OPTIONS", "$*")


@as_root
def test_faban_gets_what_starts_it_on_a_new_jdk(tmp_path: Path) -> None:
    found = archive(tmp_path / "kit.tar.gz", FABAN)
    done = apply(tmp_path, "faban", sodbench_faban_archive={**found, "version": "1.4.2"})
    assert done.returncode == 0, done.stdout + done.stderr
    tree = tmp_path / "installed/faban"
    assert (tree / "VERSION").read_text() == "1.4.2\n"
    started = subprocess.run(
        [str(tree / "bin/sodbench-fhb"), "-r", "1/2/3"],
        env={"PATH": os.environ["PATH"], "JAVA_HOME": "/a/jdk"},
        capture_output=True,
        text=True,
        check=True,
    )
    home, options, arguments = started.stdout.strip().split("|")
    assert (home, arguments) == ("/a/jdk", "-r 1/2/3")
    assert "--add-exports=java.base/sun.net=ALL-UNNAMED" in options.split()
    assert "--add-opens=java.base/java.net=ALL-UNNAMED" in options.split()
    assert len(options.split()) == 7


@as_root
def test_mstones_sources_are_built_with_their_c_plus_plus(tmp_path: Path) -> None:
    found = archive(tmp_path / "mstone-4.9.4.tar.gz", mstone_sources())
    (tmp_path / "temp").mkdir()
    done = apply(tmp_path, "mstone", sodbench_mstone_archive=found, mstone_temp=str(tmp_path / "temp"))
    assert done.returncode == 0, done.stdout + done.stderr
    client = subprocess.run([str(tmp_path / "temp/mailclient")], capture_output=True, text=True, check=False)
    assert (client.returncode, client.stdout) == (0, "")


def test_a_client_with_nothing_on_it_gets_what_mstones_build_and_mail_client_want() -> None:
    """All packages that apt would install for mstone on a machine that has none."""
    wanted = load(ROOT / "playbooks/roles/packages/defaults/main.yml")["packages_of_purpose"]["mstone"]
    empty = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Install-Recommends=false"]
    done = subprocess.run(
        ["apt-get", "--simulate", *empty, "install", *wanted], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    installed = set(re.findall(r"^Inst (\S+)", done.stdout, re.MULTILINE))
    assert {"cmake", "gcc", "perl"} <= installed
    assert "g++" in installed, "CMake asks for a C++ compiler"
    assert "netbase" in installed, "the mail client looks tcp up in /etc/protocols"


TARGETS = (
    Target(name="static", before="/static/0", after=".html", low=10, high=99, weight=0.6),
    Target(name="wait", before="/wait", weight=0.1),
    Target(name="browse_wool", before="/shop/browse?q=wool", weight=0.1),
    Target(name="browse-wool $1", before='/shop/browse?q="$1"&m=@@', weight=0.2),
)


@as_root
def test_faban_runs_with_a_launcher_of_2_mib_a_strict_driver_and_any_target(tmp_path: Path) -> None:
    """The whole way: role, `sodbench-fhb`, launcher, driver, run file, compiled methods, files, timeline."""
    (tmp_path / "classes").mkdir()
    kit = archive(tmp_path / "faban-kit-1.6.tar.gz", faban_kit(tmp_path / "classes"))
    done = apply(tmp_path, "faban", sodbench_faban_archive=kit)
    assert done.returncode == 0, done.stdout + done.stderr
    process = faban.process(SITE, faban.Load(clients=5, rate=50), 80, TARGETS)
    said = run(process, **{faban.FHB: tmp_path / "installed/faban/bin/sodbench-fhb"})
    timeline = faban.parse(stamped(said), work_unit="requests", error_limit=0.01)
    assert not timeline.problems, "\n".join(said)
    assert [sample.work for sample in timeline.samples] == [4, 4, 4]
    assert timeline.summary["succeeded"] == 120
    heap = re.search(r"heap of (\d+) bytes", "\n".join(said))
    assert heap is not None
    assert 256 << 20 <= int(heap[1]) <= 1 << 30
    assert not Path("/tmp/Made.java").exists(), "the driver is made in the run's own folder"


@as_root
def test_a_caller_may_give_fhb_more_memory(tmp_path: Path) -> None:
    found = archive(tmp_path / "kit-1.0.tar.gz", faban_that_prints("$_JAVA_OPTIONS"))
    assert apply(tmp_path, "faban", sodbench_faban_archive=found).returncode == 0
    program = [str(tmp_path / "installed/faban/bin/sodbench-fhb")]
    own = {"PATH": os.environ["PATH"], "JAVA_HOME": "/a/jdk", "_JAVA_OPTIONS": "-Xmx2g"}
    done = subprocess.run(program, env=own, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["-Xmx512m", "-Xmx2g"]


@as_root
def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    found = archive(tmp_path / "other.tar.gz", {"other/README": b"something else"})
    done = apply(tmp_path, "faban", sodbench_faban_archive=found)
    assert done.returncode != 0
    assert "should have one bin/fhb in it and has 0" in " ".join(done.stdout.split())


@dataclass(frozen=True)
class Client:
    """A client on which a role has nothing to install: what the role is given, and what it must say."""

    role: str
    given: Mapping[str, object] = field(default_factory=dict)
    refusal: str | None = None


WRONG = "sha256:" + "0" * 64
NEEDED = "needs a source (a file or a URL) and a checksum as sha256:HEX"
KITS = {"mstone": mstone_binaries(), "faban": FABAN}
UNCHECKED = {"none": "", "md5": "md5:d41d8cd98f00b204e9800998ecf8427e", "bare": "0" * 64}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def clients(place: Path) -> Mapping[str, Client]:
    """The clients, by name: all are looked at by one run of Ansible, which starts as slowly for one."""
    kit = archive(place / "kit.tar.gz", FABAN)
    found = {name: archive(place / f"{name}-1.0.tar.gz", files) for name, files in KITS.items()}
    said = "The archive of {0}, {0}-1.0.tar.gz, has a wrong checksum: expected {1}, found {2}"
    return {
        **{f"without-{role}": Client(role) for role in KITS},
        **{
            f"wrong-{role}": Client(
                role, {**found[role], "checksum": WRONG}, said.format(role, WRONG, found[role]["checksum"])
            )
            for role in KITS
        },
        **{
            f"unchecked-{name}": Client("faban", {**kit, "checksum": checksum}, NEEDED)
            for name, checksum in UNCHECKED.items()
        },
        "missing": Client(
            "faban",
            {"source": "missing.tar.gz", "checksum": WRONG},
            f"There is no {place}/missing.tar.gz on the controller",
        ),
    }


@pytest.fixture(scope="module")
def told(place: Path, clients: Mapping[str, Client]) -> str:
    """What Ansible says when each client gets its role."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        name: {
            **local,
            f"{one.role}_tree": str(place / name / one.role),
            "archive_cache": str(place),
            **({f"sodbench_{one.role}_archive": dict(one.given)} if one.given else {}),
        }
        for name, one in clients.items()
    }
    groups = {role: {name: hosts[name] for name in hosts if clients[name].role == role} for role in KITS}
    inventory = place / "inventory.yml"
    inventory.write_text(json.dumps({f"with_{role}": {"hosts": some} for role, some in groups.items()}))
    plays = "".join(f"- {{hosts: with_{role}, gather_facts: false, roles: [{role}]}}\n" for role in KITS)
    (place / "playbook.yml").write_text(plays)
    (place / "roles").symlink_to(ROOT / "playbooks/roles")
    done = tool("ansible-playbook", "--inventory", str(inventory), str(place / "playbook.yml"))
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout


def failure(told: str, name: str) -> str:
    """What is said of the task that fails on a client."""
    found = re.findall(rf"^fatal: \[{name}\b.*?(?=^\S|\Z)", told, re.MULTILINE | re.DOTALL)
    return " ".join(" ".join(found).split())


@pytest.mark.parametrize(
    "name", ["wrong-mstone", "wrong-faban", *(f"unchecked-{one}" for one in UNCHECKED), "missing"]
)
def test_an_archive_that_is_wrong_unchecked_or_missing_is_refused_and_named(
    place: Path, clients: Mapping[str, Client], told: str, name: str
) -> None:
    refusal = clients[name].refusal
    assert refusal is not None and refusal in failure(told, name), told
    assert not (place / name).exists()


@pytest.mark.parametrize("name", [f"without-{role}" for role in KITS])
def test_without_an_archive_nothing_is_done(place: Path, told: str, name: str) -> None:
    (recap,) = re.findall(rf"^{name} +: (.+)$", told, re.MULTILINE)
    counts = dict(one.split("=") for one in recap.split())
    assert (counts["changed"], counts["failed"], counts["unreachable"]) == ("0", "0", "0"), told
    assert not (place / name).exists()
