"""Event logs are replayed to the same values by tpm2_eventlog, which knows nothing of this project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.attest.evidence import Bank, RefusedError
from harness.attest.logs import eventlog
from harness.attest.played import logs
from harness.attest.played.logs import Measured

pytestmark = pytest.mark.programs

BANKS = ("sha1", "sha256", "sha384")
HCRTM = Measured(pcr=0, type=logs.EV_EFI_HCRTM_EVENT, data=b"HCRTM")
VERSION = Measured(pcr=0, type=logs.EV_S_CRTM_VERSION, data=b"1")


class TestAgainstTpm2Eventlog:
    """The tool of tpm2-tools reads the same log and replays it by itself."""

    @staticmethod
    def read(data: bytes, folder: Path) -> dict[str, object] | None:
        """What the tool says; None where it refuses the log."""
        path = folder / "log"
        path.write_bytes(data)
        done = subprocess.run(["tpm2_eventlog", str(path)], capture_output=True, check=False, timeout=30)
        if done.returncode:
            return None
        # Digests read as YAML numbers otherwise, and lose their length.
        text = re.sub(r": (0x[0-9a-f]+)$", r': "\1"', done.stdout.decode(), flags=re.MULTILINE)
        return dict(YAML(typ="safe").load(text))

    @pytest.fixture
    def left_out(self, tmp_path: Path) -> set[int]:
        """PCR 0 for the versions of the tool that extend EV_NO_ACTION events and know no startup locality."""
        events = [logs.startup_locality(3), VERSION]
        said = self.pcrs(self.read(logs.event_log(events), tmp_path), "sha256")
        return set() if said == logs.extended(events, "sha256", start={0: bytes(31) + b"\3"}) else {0}

    @staticmethod
    def pcrs(said: dict[str, object] | None, bank: str) -> dict[int, bytes]:
        assert said is not None
        banks = said["pcrs"]
        assert isinstance(banks, dict)
        return {pcr: bytes.fromhex(value[2:]) for pcr, value in banks[bank].items()}

    @pytest.mark.parametrize("bank", ["sha256", "sha384"])
    @pytest.mark.parametrize(
        "events",
        [
            logs.boot(120),
            logs.boot(120)[1:],
            [logs.startup_locality(3), *logs.boot(30)[1:]],
            [HCRTM, *logs.boot(30)[1:]],
            [logs.startup_locality(4), HCRTM, *logs.boot(30)[1:]],
            [Measured(pcr=pcr, type=logs.EV_ACTION, data=b"a%d" % pcr) for pcr in (*range(17), 23)],
        ],
        ids=["boot", "no locality", "locality 3", "H-CRTM", "H-CRTM and locality 4", "every PCR"],
    )
    def test_same_values(
        self, events: list[Measured], bank: Bank, tmp_path: Path, left_out: set[int]
    ) -> None:
        data = logs.event_log(events, (*BANKS, "sha512"))
        said = self.pcrs(self.read(data, tmp_path), bank)
        found = eventlog.replay(eventlog.parse(data), bank)
        assert set(found) == set(said)
        if not any(event.pcr == 0 and event.type in {logs.EV_NO_ACTION, HCRTM.type} for event in events):
            left_out = set()
        compared = set(found) - left_out
        assert len(compared) > 3
        assert {pcr: found[pcr] for pcr in compared} == {pcr: said[pcr] for pcr in compared}

    def test_same_events(self, tmp_path: Path) -> None:
        data = logs.event_log(logs.boot(50), BANKS)
        said = self.read(data, tmp_path)
        assert said is not None
        listed = said["events"]
        assert isinstance(listed, list)
        log = eventlog.parse(data)
        assert len(listed) == 1 + len(log.events)
        for theirs, ours in zip(listed[1:], log.events, strict=True):
            assert theirs["PCRIndex"] == ours.pcr
            assert theirs["EventSize"] == len(ours.data)
            assert {d["AlgorithmId"]: d["Digest"] for d in theirs["Digests"]} == {
                name: digest.hex() for name, digest in ours.digests.items()
            }

    def test_what_is_accepted_here_the_tool_accepts_with_the_same_values(self, tmp_path: Path) -> None:
        """Every byte of a log damaged, one at a time: this reader may be stricter, never laxer."""
        data = logs.event_log(
            [VERSION, Measured(pcr=4, type=logs.EV_SEPARATOR), Measured(pcr=9, data=b"kernel")]
        )
        accepted = 0
        for at in range(len(data)):
            damaged = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
            try:
                values = eventlog.replay(eventlog.parse(damaged), "sha256")
            except RefusedError:
                continue
            accepted += 1
            assert values == self.pcrs(self.read(damaged, tmp_path), "sha256"), at
        assert accepted, "nothing was compared"
