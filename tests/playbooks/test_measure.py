"""The program that measures lab hosts: its logs lead to what the TPM holds, also after it was cut off.

It runs under the system's Python against a real software TPM; its logs are read by the verifier's own readers
and by tpm2_eventlog, and are compared with what tpm2_pcrread says.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined
from ruamel.yaml import YAML

from harness.attest.evidence import Bank, ImaExcerpt, RefusedError
from harness.attest.logs import eventlog, ima
from harness.attest.logs.ima import ImaState
from harness.attest.played import logs
from harness.attest.played.local_tpm import LocalTpm, running
from harness.attest.reasons import Reason

pytestmark = pytest.mark.programs

ROLE = Path(__file__).resolve().parents[2] / "playbooks/roles/tpm"
PROGRAM = ROLE / "files/sodbench_measure.py"
PYTHON = "/usr/bin/python3"
BINARY, TEXT, FIRMWARE = (
    "binary_runtime_measurements",
    "ascii_runtime_measurements",
    "binary_bios_measurements",
)


@dataclass(frozen=True, slots=True)
class Host:
    """A folder with made-up files that takes the place of a host, and its TPM."""

    folder: Path
    tpm: LocalTpm

    @property
    def logs(self) -> Path:
        return self.folder / "measurements"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = ["--config", self.folder / "measured.conf", "--folder", self.logs, "--tcti", self.tpm.tcti]
        return subprocess.run(
            [PYTHON, "-I", str(PROGRAM), *map(str, places), "--wait", "1", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def measure(self, *arguments: str) -> dict[str, int]:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def pcrs(self, bank: Bank = "sha256") -> dict[int, bytes]:
        """What the TPM holds, by another program."""
        said = YAML(typ="rt").load(self.tpm.run("tpm2_pcrread", bank).stdout.replace("0x", "h"))
        return {int(pcr): bytes.fromhex(str(value)[1:]) for pcr, value in said[bank].items()}

    def list(self, form: str = "binary", *, first: int = 0) -> tuple[ima.ImaEntry, ...]:
        data = (self.logs / (BINARY if form == "binary" else TEXT)).read_bytes()
        excerpt = ImaExcerpt.model_validate({"first": first, "total": 10**6, "form": form, "data": data})
        return ima.parse(excerpt)

    def replayed(self, bank: Bank = "sha256") -> ImaState:
        return ima.replay(ImaState.start(bank), self.list(), bank=bank, expected=self.pcrs(bank)[10])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What takes the place of a host: programs, configuration, command line, and what of it is measured."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("emulator", "daemon", "with space"):
        (programs / name).write_text(f"program {name}")
    (tmp_path / "link").symlink_to(programs / "daemon")
    (tmp_path / "daemon.conf").write_text("listen = 1")
    (tmp_path / "cmdline").write_text("quiet")
    (tmp_path / "measured.conf").write_text(
        f"# made up\n[pcr 8]\n{tmp_path}/cmdline\n[pcr 1]\n{tmp_path}/*.conf\n{tmp_path}/nothing\n"
        f"[files]\n{tmp_path}/link  # twice\n{programs}/*\n{tmp_path}/daemon.conf\n"
    )
    return tmp_path


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    with running(folder) as tpm:
        yield Host(folder, tpm)


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_the_logs_of_a_start_lead_to_the_pcrs(host: Host, bank: Bank) -> None:
    done = host.measure("--start")
    log = eventlog.parse((host.logs / FIRMWARE).read_bytes())
    pcrs = host.pcrs(bank)
    assert eventlog.replay(log, bank) == {pcr: pcrs[pcr] for pcr in range(9)}
    assert not any(pcrs[9])
    assert done["events"] == len(log.events)
    state = host.replayed(bank)
    assert state.entries == done["entries"] == len(host.list()) == 5


def test_what_is_in_the_event_log(host: Host) -> None:
    host.measure("--start")
    log = eventlog.parse((host.logs / FIRMWARE).read_bytes())
    separators = [event.pcr for event in log.events if event.type == eventlog.EV_SEPARATOR]
    assert separators == list(range(8))
    by_pcr = {
        pcr: [e for e in log.events if e.pcr == pcr and e.type != eventlog.EV_SEPARATOR] for pcr in range(10)
    }
    assert {pcr: len(events) for pcr, events in by_pcr.items() if events} == {0: 2, 1: 2, 8: 1}
    assert by_pcr[0][1].digests["sha256"] == hashlib.sha256(PROGRAM.read_bytes()).digest()
    assert by_pcr[1][0].digests["sha256"] == hashlib.sha256(b"listen = 1").digest()
    assert by_pcr[8][0].data == f"{host.folder}/cmdline".encode() + b"\0"
    assert by_pcr[8][0].digests["sha384"] == hashlib.sha384(b"quiet").digest()


def test_tpm2_eventlog_reads_the_log_to_the_same_values(host: Host) -> None:
    host.measure("--start")
    said = host.tpm.run("tpm2_eventlog", str(host.logs / FIRMWARE)).stdout
    values = YAML(typ="rt").load(said.partition("pcrs:")[2].replace("0x", "h"))
    pcrs = host.pcrs()
    assert {pcr: bytes.fromhex(str(value)[1:]) for pcr, value in values["sha256"].items()} == {
        pcr: pcrs[pcr] for pcr in range(9)
    }


def test_both_lists_say_the_same_and_begin_with_the_aggregate(host: Host) -> None:
    host.measure("--start")
    assert host.list("binary") == host.list("ascii")
    first, *files = host.list()
    pcrs = host.pcrs()
    assert first.path == ima.BOOT_AGGREGATE
    assert first.file_digest == hashlib.sha256(b"".join(pcrs[pcr] for pcr in range(10))).digest()
    programs = host.folder / "programs"
    assert [entry.path for entry in files] == [
        f"{programs}/daemon",  # a link is measured as what it leads to, and only once
        f"{programs}/emulator",
        f"{programs}/with_space",
        f"{host.folder}/daemon.conf",
    ]
    assert files[1].file_digest == hashlib.sha256(b"program emulator").digest()


def test_only_what_changed_is_measured_again(host: Host) -> None:
    host.measure("--start")
    assert host.measure() == {"entries": 5, "new": 0, "left": 0}
    before = host.list()
    (host.folder / "programs/emulator").write_text("another")
    (host.folder / "programs/new").write_text("new")
    assert host.measure() == {"entries": 7, "new": 2, "left": 0}
    assert host.list()[:5] == before
    assert [Path(entry.path).name for entry in host.list()[5:]] == ["emulator", "new"]
    assert host.list("ascii") == host.list()
    assert host.replayed().entries == 7
    (host.folder / "programs/emulator").write_text("program emulator")
    assert host.measure()["new"] == 1, "back to what it was is a change as well"
    assert host.replayed("sha384").entries == 8


def test_a_list_ahead_of_the_tpm_is_caught_up(host: Host) -> None:
    """Cut off between the write and the extend: entries are listed and not in the TPM."""
    host.measure("--start")
    was = host.pcrs()[10]
    (host.folder / "programs/emulator").write_text("another")
    tail = logs.Line(path=f"{host.folder}/programs/emulator".encode(), content=b"another")
    with (host.logs / BINARY).open("ab") as file:
        file.write(tail.to_binary())
    assert host.replayed().entries == 5, "a quote taken now is answered for"
    assert host.pcrs()[10] == was
    assert host.measure() == {"entries": 6, "new": 0, "left": 1}
    assert host.list("ascii") == host.list(), "the form that the cut-off run did not come to is there"
    assert host.replayed().entries == 6


def test_a_tpm_that_somebody_else_extended_is_not_gone_on_with(host: Host) -> None:
    host.measure("--start")
    host.tpm.run("tpm2_pcrextend", f"10:sha256={'ab' * 32}")
    before = (host.logs / BINARY).read_bytes()
    (host.folder / "programs/new").write_text("new")
    done = host.run()
    assert done.returncode == 1
    assert "does not lead" in done.stderr
    assert (host.logs / BINARY).read_bytes() == before
    with pytest.raises(RefusedError) as caught:
        host.replayed()
    assert caught.value.reason is Reason.IMA_REPLAY


def test_a_start_on_a_tpm_in_use_changes_nothing(host: Host) -> None:
    host.measure("--start")
    before = {path.name: path.read_bytes() for path in host.logs.iterdir()}
    pcrs = host.pcrs()
    done = host.run("--start")
    assert done.returncode == 1
    assert "not restarted" in done.stderr
    assert {path.name: path.read_bytes() for path in host.logs.iterdir()} == before
    assert host.pcrs() == pcrs


def test_a_new_start_of_the_tpm_opens_new_logs(folder: Path) -> None:
    with running(folder) as tpm:
        Host(folder, tpm).measure("--start")
        (folder / "programs/new").write_text("new")
        assert Host(folder, tpm).measure()["entries"] == 6
        (folder / "programs/new").write_text("newer")
        assert Host(folder, tpm).measure()["entries"] == 7
    with running(folder) as tpm:
        assert Host(folder, tpm).measure("--start")["entries"] == 6
        assert Host(folder, tpm).replayed().entries == 6


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[pcr 10]\n/a\n", "line 1"),
        ("[pcr 1]\nrelative\n", "line 2"),
        ("/a\n", "line 1"),
        ("[others]\n", "line 1"),
    ],
)
def test_a_configuration_that_is_none_is_named(host: Host, text: str, why: str) -> None:
    (host.folder / "measured.conf").write_text(text)
    done = host.run("--start")
    assert done.returncode == 1
    assert why in done.stderr
    assert not (host.logs / FIRMWARE).exists()


def test_measuring_again_needs_a_start(host: Host) -> None:
    done = host.run()
    assert done.returncode == 1
    assert "--start" in done.stderr


def test_no_tpm_is_an_error_in_words(host: Host) -> None:
    done = host.run("--tcti", "swtpm:path=/nowhere")
    assert done.returncode == 1
    assert "no TPM answers" in done.stderr


def test_the_unit_starts_with_the_measurement_and_the_role_ships_what_it_names() -> None:
    installed = "/opt/sodbench/tpm/sodbench_measure.py"
    unit = (ROLE / "templates/sodbench-swtpm.service.j2").read_text()
    tasks = (ROLE / "tasks/software.yml").read_text()
    removal = (ROLE / "tasks/remove.yml").read_text()
    assert f"ExecStartPost=/usr/bin/python3 -I {installed} --start\n" in unit
    assert f"dest: {installed}" in tasks
    for place in ("/opt/sodbench/tpm", "/etc/sodbench/measured.conf", "/var/lib/sodbench/measurements"):
        assert f"- {place}\n" in removal


def test_the_configuration_that_the_role_writes_is_read_as_it_was_meant() -> None:
    meant = YAML(typ="safe").load(ROLE / "defaults/main.yml")
    environment = Environment(
        autoescape=False, trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["dict2items"] = lambda some: [{"key": key, "value": some[key]} for key in some]
    written = environment.from_string((ROLE / "templates/measured.conf.j2").read_text()).render(meant)
    reader = (
        "import sys, runpy; plan = runpy.run_path(sys.argv[1])['read_plan'](sys.stdin.read()); print(plan)"
    )
    argv = [PYTHON, "-c", reader, str(PROGRAM)]
    said = subprocess.run(argv, input=written, capture_output=True, text=True, check=True, timeout=60).stdout
    events = tuple((pcr, path) for pcr, paths in meant["tpm_measured_pcrs"].items() for path in paths)
    assert said.strip() == f"Plan(events={events}, files={tuple(meant['tpm_measured_files'])})"
