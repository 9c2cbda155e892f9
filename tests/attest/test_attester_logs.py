"""What the attester reads of its machine's logs and of itself, and requests that no one should send."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from harness.attest.attester.contract import AttesterError
from harness.attest.evidence import ImaExcerpt
from harness.attest.logs import eventlog, ima
from harness.attest.played import logs
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm
from harness.attest.reasons import Reason
from tests.attest.attesting import ask, attesting, configured, conversation, with_library

pytestmark = pytest.mark.programs

Form = Literal["binary", "ascii"]
FORMS: tuple[Form, ...] = ("binary", "ascii")
SAMPLES = Path(__file__).parent / "samples/guest-seabios-1.16"


@pytest.fixture
def enrolled(swtpm: LocalTpm) -> Iterator[LocalTpm]:
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        attester.create_key("ecc-p256")
    yield swtpm


def listed(folder: Path, form: Form) -> Path:
    return folder / f"{form}_runtime_measurements"


def excerpt(attester: LocalAttester, first: int) -> ImaExcerpt:
    found = attester.quote(ask(ima_from=first)).evidence.ima
    assert found is not None
    return found


# -- the event log


def test_the_event_log_is_sent_whole_when_asked_for(enrolled: LocalTpm) -> None:
    path = enrolled.folder / "binary_bios_measurements"
    path.write_bytes(logs.event_log(logs.boot(500)))
    with attesting(configured(enrolled.folder, enrolled.tcti, event_log=path)) as attester:
        sent = attester.quote(ask(event_log=True)).evidence.event_log
        assert attester.quote(ask()).evidence.event_log is None
    assert sent == path.read_bytes()
    assert len(eventlog.parse(sent).events) >= 500


def test_a_log_longer_than_a_piece_arrives_as_it_is(enrolled: LocalTpm) -> None:
    path = enrolled.folder / "events"
    path.write_bytes(os.urandom(5 * 2**20 + 1))
    entries = logs.running_system(20_000)
    listed(enrolled.folder, "binary").write_bytes(logs.ima_list(entries))
    config = configured(enrolled.folder, enrolled.tcti, event_log=path, ima=listed(enrolled.folder, "binary"))
    with attesting(config) as attester:
        evidence = attester.quote(ask(event_log=True, ima_from=0)).evidence
    assert evidence.event_log == path.read_bytes()
    assert evidence.ima is not None
    assert evidence.ima.data == listed(enrolled.folder, "binary").read_bytes()


def test_what_a_machine_does_not_keep_is_missing_with_a_reason(enrolled: LocalTpm) -> None:
    with attesting(configured(enrolled.folder, enrolled.tcti)) as attester:
        evidence = attester.quote(ask(event_log=True, ima_from=0)).evidence
        assert (evidence.event_log, evidence.ima) == (None, None)
        assert evidence.versions["no_event_log"] == evidence.versions["no_ima"] == "none is configured"
    gone = enrolled.folder / "gone"
    with attesting(configured(enrolled.folder, enrolled.tcti, event_log=gone, ima=gone)) as attester:
        evidence = attester.quote(ask(event_log=True, ima_from=0)).evidence
    assert (evidence.event_log, evidence.ima) == (None, None)
    assert "No such file" in evidence.versions["no_event_log"]
    assert "No such file" in evidence.versions["no_ima"]


def test_a_log_that_cannot_be_read_is_an_error(enrolled: LocalTpm) -> None:
    with attesting(configured(enrolled.folder, enrolled.tcti, event_log=enrolled.folder)) as attester:
        with pytest.raises(AttesterError) as caught:
            attester.quote(ask(event_log=True))
        assert attester.properties().architecture == "tpm"
    assert caught.value.reason is Reason.ATTESTER_FAILED


def test_a_file_of_200_megabytes_is_refused_and_costs_no_memory(enrolled: LocalTpm) -> None:
    path = enrolled.folder / "binary_runtime_measurements"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    config = configured(enrolled.folder, enrolled.tcti, event_log=path)
    with attesting(config) as attester:
        with pytest.raises(AttesterError) as caught:
            attester.quote(ask(event_log=True))
        assert caught.value.reason is Reason.SIZE_LIMIT
        assert highest_mib(attester) < 300
        attester.quote(ask())
        assert attester.started == 1


def test_both_logs_together_have_one_limit(enrolled: LocalTpm) -> None:
    events, path = enrolled.folder / "events", listed(enrolled.folder, "binary")
    events.write_bytes(bytes(3000))
    path.write_bytes(logs.ima_list(logs.running_system(20)))
    size = path.stat().st_size
    config = configured(
        enrolled.folder, enrolled.tcti, event_log=events, ima=path, logs_limit_bytes=3000 + size
    )
    with attesting(config) as attester:
        attester.quote(ask(event_log=True, ima_from=0))
        events.write_bytes(bytes(3001))
        with pytest.raises(AttesterError) as caught:
            attester.quote(ask(event_log=True, ima_from=0))
        assert caught.value.reason is Reason.SIZE_LIMIT
        attester.quote(ask(event_log=True, ima_from=19))


def highest_mib(attester: LocalAttester) -> int:
    status = Path(f"/proc/{attester.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


# -- the IMA list


@pytest.mark.parametrize("form", FORMS)
def test_an_excerpt_begins_at_any_entry(form: Form, enrolled: LocalTpm) -> None:
    entries, path = logs.running_system(60), listed(enrolled.folder, form)
    path.write_bytes(logs.ima_list(entries, form))
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        for first in (59, 0, 60, 17, 1, 61):
            found = excerpt(attester, first)
            assert (found.first, found.total, found.form) == (first, 60, form)
            assert found.data == logs.ima_list(entries[first:], form)
    assert len(ima.parse(logs.excerpt(entries, form))) == 60


@pytest.mark.parametrize("form", FORMS)
def test_a_kernels_own_list_is_divided_as_it_is(form: Form, enrolled: LocalTpm) -> None:
    path = listed(SAMPLES, form)
    lines = listed(SAMPLES, "ascii").read_text().splitlines()
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        whole, last = excerpt(attester, 0), excerpt(attester, len(lines) - 1)
    assert (whole.total, whole.data) == (len(lines), path.read_bytes())
    assert [entry.path for entry in ima.parse(last)] == [ima.parse(whole)[-1].path]
    assert lines[-1].split()[4] == ima.parse(last)[0].path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["appended", "written anew"])
def test_a_list_that_grows_is_read_from_where_it_ended(form: Form, way: str, enrolled: LocalTpm) -> None:
    entries, path = logs.running_system(90), listed(enrolled.folder, form)
    path.write_bytes(b"")
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        assert excerpt(attester, 0).total == 0
        for known, total in ((0, 30), (30, 31), (31, 31), (31, 90)):
            if way == "appended":
                with path.open("ab") as file:
                    file.write(logs.ima_list(entries[known:total], form))
            else:
                new = path.with_name("new")
                new.write_bytes(logs.ima_list(entries[:total], form))
                new.replace(path)
            found = excerpt(attester, known)
            assert (found.first, found.total) == (known, total)
            assert found.data == logs.ima_list(entries[known:total], form)


@pytest.mark.parametrize("form", FORMS)
def test_a_list_that_shrank_or_became_another_is_read_anew(form: Form, enrolled: LocalTpm) -> None:
    entries, path = logs.running_system(40), listed(enrolled.folder, form)
    path.write_bytes(logs.ima_list(entries, form))
    others = [logs.Line(path=b"/other/%d" % number) for number in range(50)]
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        assert excerpt(attester, 0).total == 40
        for now in (entries[:7], others, [], entries[:3]):
            path.write_bytes(logs.ima_list(now, form))
            found = excerpt(attester, 2)
            assert (found.first, found.total) == (2, len(now))
            assert found.data == logs.ima_list(now[2:], form)


@pytest.mark.parametrize("form", FORMS)
def test_half_an_entry_is_left_for_the_next_time(form: Form, enrolled: LocalTpm) -> None:
    entries, path = logs.running_system(10), listed(enrolled.folder, form)
    whole, last = logs.ima_list(entries[:9], form), logs.ima_list(entries[9:], form)
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        for cut in range(len(last)):
            path.write_bytes(whole + last[:cut])
            found = excerpt(attester, 9 if cut % 2 else 0)
            assert (found.total, found.data) == (9, b"" if cut % 2 else whole)
        path.write_bytes(whole + last)
        assert excerpt(attester, 9).data == last


def test_the_oldest_template_has_no_length_before_its_data(enrolled: LocalTpm) -> None:
    path = listed(enrolled.folder, "binary")
    name = b"/usr/bin/true"
    old = (10).to_bytes(4, "little") + bytes(20) + (3).to_bytes(4, "little") + b"ima" + b"\x11" * 20
    old += len(name).to_bytes(4, "little") + name
    new = logs.ima_list(logs.running_system(2))
    path.write_bytes(old + new + old)
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        assert excerpt(attester, 0).total == 4
        assert excerpt(attester, 3).data == old


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_list_is_an_error_and_may_become_one(form: Form, enrolled: LocalTpm) -> None:
    entries, path = logs.running_system(5), listed(enrolled.folder, form)
    path.write_bytes(b"\xff" * (17 << 20))
    with attesting(configured(enrolled.folder, enrolled.tcti, ima=path)) as attester:
        with pytest.raises(AttesterError, match=r"is not an IMA list in (ascii|binary) form") as caught:
            excerpt(attester, 0)
        assert caught.value.reason is Reason.ATTESTER_FAILED
        path.write_bytes(logs.ima_list(entries, form))
        assert excerpt(attester, 0).total == 5


COUNT_READS = """
import os, sys
sys.dont_write_bytecode = True
from pathlib import Path
from sodbench_logs import ImaList

found, read = ImaList(Path(sys.argv[1])), []
pread = os.pread
os.pread = lambda *place: read.append(pread(*place)) or read[-1]
for first in (0, 20_000, 20_000):
    read.clear()
    data = found.excerpt(first, 1 << 30)["data"]
    print(len(data), sum(map(len, read)))
"""


def test_entries_that_were_seen_are_not_read_again(tmp_path: Path) -> None:
    path = listed(tmp_path, "binary")
    path.write_bytes(logs.ima_list(logs.running_system(20_000)))
    size = path.stat().st_size
    whole, *again = [line.split() for line in with_library(COUNT_READS, str(path)).splitlines()]
    assert int(whole[0]) == size
    assert [int(sent) for sent, _ in again] == [0, 0]
    assert all(int(read) < 1000 for _, read in again)


def test_the_kernels_own_list_has_no_size_and_is_read_to_its_end() -> None:
    """A file of procfs stands for one of securityfs: it too says that it has 0 bytes."""
    code = (
        "import sys; sys.dont_write_bytecode = True\nfrom pathlib import Path\nfrom sodbench_logs import *\n"
    )
    code += "print(len(read_whole(Path('/proc/cpuinfo'), 1 << 20)), Path('/proc/cpuinfo').stat().st_size)\n"
    code += "try: read_whole(Path('/proc/cpuinfo'), 10)\nexcept SizeLimitError as error: print(error)\n"
    read, refused = with_library(code).splitlines()
    assert read.split()[1] == "0"
    assert int(read.split()[0]) > 100
    assert "more than 10 bytes" in refused


# -- what it says of itself


def test_a_simulated_architecture_has_its_evidence(swtpm: LocalTpm) -> None:
    path = swtpm.folder / "violations"
    simulated = {"architecture": "hyperwall", "memory_violations": path}
    with attesting(configured(swtpm.folder, swtpm.tcti, simulated=simulated)) as attester:
        first = attester.properties()
        assert (first.architecture, first.simulated, first.memory_violations) == ("hyperwall", True, None)
        assert "No such file" in first.reasons["memory_violations"]
        for text, number in (("0", 0), ("17\n", 17), ("many", None)):
            path.write_text(text)
            said = attester.properties()
            assert said.memory_violations == number
            assert ("memory_violations" in said.reasons) == (number is None)


def test_a_common_machine_has_a_tpm_and_counts_nothing(swtpm: LocalTpm) -> None:
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        said = attester.properties()
    assert (said.architecture, said.simulated, said.memory_violations) == ("tpm", False, None)
    assert said.reasons["memory_violations"]
    assert said.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


# -- requests and configurations that are wrong

GOOD = {
    "id": 7,
    "op": "quote",
    "key": "ecc-p256",
    "nonce": base64.b64encode(bytes(20)).decode(),
    "bank": "sha256",
    "pcrs": [0],
}
WRONG: dict[str, object] = {
    "no JSON": "{",
    "bytes": b"\xff\xfe",
    "no object": "[1]",
    "deep": "[" * 60_000,
    "a number that never ends": '{"id": ' + "9" * 60_000 + "}",
    "no id": {"op": "properties"},
    "another id": {"id": "x", "op": "properties"},
    "no op": {"id": 1},
    "another op": {"id": 1, "op": "shutdown"},
    "an unknown field": {"id": 1, "op": "properties", "tcti": "device:/dev/mem"},
    "another key": {**GOOD, "key": "rsa-1024"},
    "a list as key": {**GOOD, "key": ["ecc-p256"]},
    "SHA-1": {**GOOD, "bank": "sha1"},
    "no nonce": {**GOOD, "nonce": ""},
    "a long nonce": {**GOOD, "nonce": base64.b64encode(bytes(65)).decode()},
    "a nonce that is no base64": {**GOOD, "nonce": "!!"},
    "no PCR": {**GOOD, "pcrs": []},
    "a PCR that no TPM has": {**GOOD, "pcrs": [24]},
    "a PCR twice": {**GOOD, "pcrs": [1, 1]},
    "true as PCR": {**GOOD, "pcrs": [True]},
    "a negative entry": {**GOOD, "ima_from": -1},
    "a word for a yes": {**GOOD, "event_log": "yes"},
    "too long": '{"id": 1, "x": "' + "x" * 70_000 + '"}',
}


def test_a_wrong_request_is_answered_and_ends_nothing(swtpm: LocalTpm) -> None:
    lines = [json.dumps(one) if isinstance(one, dict) else one for one in WRONG.values()]
    assert all(isinstance(line, str | bytes) for line in lines)
    config = configured(swtpm.folder, swtpm.tcti)
    answers = conversation(
        config, *(line for line in lines if isinstance(line, str | bytes)), b'{"id":8,"op":"properties"}'
    )
    assert len(answers) == len(WRONG) + 1
    for what, answer in zip(WRONG, answers, strict=False):
        assert answer["error"]["reason"] == "attester-failed", what
        assert answer["error"]["why"], what
    assert answers[-1]["ok"]["architecture"] == "tpm"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "tcti is missing"),
        ("tcti =", "Invalid"),
        ("tcti = 1", "tcti is a text"),
        ('tcti = "x"\nevents = "/x"', "unknown entry events"),
        ('tcti = "x"\ntpm_limit_s = 0', "above 0"),
        ('tcti = "x"\ntpm_limit_s = true', "above 0"),
        ('tcti = "x"\n[simulated]\nviolations = "/x"', "nothing else"),
        ('tcti = "x"\nauth = "/nonexistent"', "/nonexistent"),
    ],
)
def test_a_wrong_configuration_is_refused_at_the_start(text: str, complaint: str, tmp_path: Path) -> None:
    config = tmp_path / "attester.toml"
    config.write_text(text)
    with attesting(config) as attester, pytest.raises(AttesterError) as caught:
        attester.properties()
    assert caught.value.reason is Reason.ATTESTER_FAILED
    assert complaint in caught.value.why
