"""What it costs to bound what comes over the standing channel, next to the attestation that comes over it.

Two channels lead to one software TPM over SSH on this machine: over one everything is bounded as it is on
every channel, over the other nothing is. Each round asks both, in an order that alternates, so that load is
in both and the ratio is of one run. A round is the trip from the nonce to the evidence; the CPU time is of
this process, which is the controller. What the look at an answer's form adds is also timed by itself, on the
thread that does it, which a busy machine disturbs least. Bare quotes and quotes with logs take turns; the
logs are as long as those that ``benchmarks/bounds.py`` reads. A rig's network is not in it, so that the ratio
is larger than a rig's. Run it with ``python -m benchmarks.channel_bounds``; no lab is needed.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import paramiko
import psutil

from benchmarks import provenance, ssh_server
from harness import resources
from harness.analysis.stats import median_interval, ratio_of_medians
from harness.attest.attester import bounds, channel
from harness.attest.attester.channel import Inbox, RemoteAttester
from harness.attest.attester.contract import Ask
from harness.attest.played.local_tpm import running
from harness.attest.played.platform import platform
from harness.attest.played.software_tpm import SoftwareTpm
from harness.clock import MonotonicClock
from harness.rig.host import Host
from harness.rig.pair import Endpoint

OUT = Path(__file__).parent / "measured" / "channel-bounds.json"
MARGIN = 0.03
WARM_UP = 10
PCRS = tuple(range(11))
ASKED = ("quote", "attestation")
Spent = dict[tuple[str, bool], list[float]]


class _Unbounded(Inbox):
    """Takes whatever comes."""

    def fits(self, size_bytes: int) -> bool:
        """It does."""
        return True

    def on_line(self, stamp_ns: int, line: str) -> None:
        """A line has arrived."""
        self._lines.append((stamp_ns, line))
        self.arrived.set()


@contextmanager
def _server(folder: Path) -> Iterator[Endpoint]:
    for name in (ssh_server.HOST_KEY, ssh_server.USER_KEY):
        paramiko.ECDSAKey.generate().write_private_key_file(str(folder / name))
    command = [sys.executable, "-m", "benchmarks.ssh_server", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        key = paramiko.ECDSAKey.from_private_key_file(str(folder / ssh_server.HOST_KEY))
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        user = folder / ssh_server.USER_KEY
        yield Endpoint(role="a", address="127.0.0.1", user="root", port=port, key=user, known_hosts=known)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _attesters() -> Iterator[dict[bool, RemoteAttester]]:
    """By whether what they send is bounded; both have the same TPM and logs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tpm, clock = stack.enter_context(running(folder)), MonotonicClock()
        sent = platform(SoftwareTpm("ecc-p256")).evidence()
        assert sent.event_log is not None
        assert sent.ima is not None
        (folder / "events").write_bytes(sent.event_log)
        (folder / "ima").write_bytes(sent.ima.data)
        paths = {"tcti": tpm.tcti, "event_log": str(folder / "events"), "ima": str(folder / "ima")}
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in paths.items())
        (folder / "attester.toml").write_text(text)
        program = resources.playbooks() / "roles/attester/files/sodbench_attester.py"
        command = f"exec {channel.PYTHON} -BEsu {program} --config {folder / 'attester.toml'}"
        endpoint = stack.enter_context(_server(folder))
        found = {}
        for bounded in (True, False):
            host = stack.enter_context(Host(endpoint, clock))
            found[bounded] = stack.enter_context(closing(RemoteAttester(host, clock, command=command)))
        found[True].create_key("ecc-p256")
        with mock.patch.object(channel, "Inbox", _Unbounded):
            found[False].identify()  # its channel is opened, and stays
        yield found


def _once(attester: RemoteAttester, asked: str, *, bounded: bool) -> tuple[float, float, float]:
    """Milliseconds of the trip, of this process's CPU in it, and of the look at the answer's form."""
    whole = asked == "attestation"
    nonce = secrets.token_bytes(32)
    question = Ask(key="ecc-p256", nonce=nonce, pcrs=PCRS, event_log=whole, ima_from=0 if whole else None)
    looked_ns, look = [0], bounds.check

    def timed(line: str) -> None:
        began_ns = time.thread_time_ns()
        look(line)
        looked_ns[0] += time.thread_time_ns() - began_ns

    with mock.patch.object(bounds, "check", timed if bounded else lambda _line: None):
        cpu_ns, began_ns = time.process_time_ns(), time.perf_counter_ns()
        attester.quote(question)
        ended_ns, cpu_end_ns = time.perf_counter_ns(), time.process_time_ns()
    return (ended_ns - began_ns) / 1e6, (cpu_end_ns - cpu_ns) / 1e6, looked_ns[0] / 1e6


def _measure(count: int) -> tuple[Spent, Spent, Spent]:
    """Trips, CPU and looks in ms, by question and whether all was bounded."""
    trips: Spent = {(asked, bounded): [] for asked in ASKED for bounded in (True, False)}
    cpu: Spent = {key: [] for key in trips}
    looks: Spent = {key: [] for key in trips}
    with _attesters() as attesters:
        for turn in range(count + WARM_UP):
            for asked in ASKED:
                for bounded in (True, False) if turn % 2 else (False, True):
                    trip_ms, cpu_ms, look_ms = _once(attesters[bounded], asked, bounded=bounded)
                    if turn >= WARM_UP:
                        trips[asked, bounded].append(trip_ms)
                        cpu[asked, bounded].append(cpu_ms)
                        looks[asked, bounded].append(look_ms)
    return trips, cpu, looks


def _compared(of: Spent, asked: str) -> dict[str, object]:
    bounded, plain = of[asked, True], of[asked, False]
    return {
        "with_ms": asdict(median_interval(bounded)),
        "without_ms": asdict(median_interval(plain)),
        "ratio": asdict(ratio_of_medians(bounded, plain)),
        "rounds": {"with_ms": bounded, "without_ms": plain},
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=400, help="rounds of each kind")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    load = list(psutil.getloadavg())
    trips, cpu, looks = _measure(given.count)
    found: dict[str, object] = {
        **provenance.here("paramiko", "cryptography"),
        "cpus": psutil.cpu_count(),
        "load_before": load,
        "margin": MARGIN,
    }
    for asked in ASKED:
        for name, of in (("trip", trips), ("cpu", cpu)):
            row = _compared(of, asked)
            found[f"{asked}-{name}"] = row
            ratio = ratio_of_medians(of[asked, True], of[asked, False])
            print(
                f"{asked}, {name}: with / without {ratio.value:.4f} "
                f"({ratio.interval_low:.4f} to {ratio.interval_high:.4f})"
            )
        share = ratio_of_medians(looks[asked, True], trips[asked, False])
        found[f"{asked}-look"] = {
            "look_ms": asdict(median_interval(looks[asked, True])),
            "share": asdict(share),
            "rounds": {"look_ms": looks[asked, True]},
        }
        print(
            f"{asked}, look / trip {share.value:.4f} ({share.interval_low:.4f} to {share.interval_high:.4f})"
        )
    given.out.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
