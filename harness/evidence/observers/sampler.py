"""Machine samples: what the hosts and the controller itself spend while a guest moves.

The controller samples itself in a thread of its own: a harness that cannot say what it costs cannot be
believed about anything else.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil

from harness.evidence.events import SamplerStarted, SamplerStopped
from harness.evidence.observers.contract import Scene
from harness.evidence.observers.remote import RemoteSeries
from harness.evidence.record import Record, Series

PROGRAM = Path(__file__).with_name("sampler_probe.py")
PERIOD_S = 1.0
_HEADER = "t_ns,cpu_busy_s,qemu_cpu_s,memory_used_bytes,net_out_bytes,net_in_bytes"
_CONTROLLER_HEADER = "t_ns,cpu_self_s,memory_rss_bytes"
_CONTROLLER_FILE = "controller.csv"


class Sampler:
    """psutil on both hosts and on the controller, once a second."""

    name = "host-sampler"

    def __init__(self) -> None:
        self._remote: dict[str, RemoteSeries] = {}
        self._own: Series | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._record: Record | None = None

    def start(self, scene: Scene, record: Record) -> None:
        """Begin to sample, the controller first: its samples do not depend on a host."""
        self._record = record
        self._own = Series(record.folder / _CONTROLLER_FILE, _CONTROLLER_HEADER)
        self._thread = threading.Thread(target=self._sample_self, args=(self._own, record), daemon=True)
        self._thread.start()
        record.add(SamplerStarted(machine="controller", file=_CONTROLLER_FILE))
        for role, host in scene.hosts.items():
            series = RemoteSeries(self.name, host, PROGRAM, str(PERIOD_S), record)
            series.start(f"host-{role}.csv", _HEADER)
            self._remote[role] = series
            record.add(SamplerStarted(machine=role, file=f"host-{role}.csv"))

    def _sample_self(self, series: Series, record: Record) -> None:
        process = psutil.Process(os.getpid())
        # Looking for children means reading every process of the machine, so that is done once: the ssh
        # processes of the standing libvirt connections, which are open before any observer starts.
        known = [process, *process.children(recursive=True)]
        ended_or_running: dict[int, float] = {}
        first, stopped = True, False
        while not stopped:
            # The last turn comes after the stop, so that the counters cover the whole window.
            stopped = False if first else record.clock.wait(PERIOD_S, self._stopping)
            first = False
            for one in known:
                try:
                    times = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                ended_or_running[one.pid] = times.user + times.system
            cpu_s, rss = sum(ended_or_running.values()), process.memory_info().rss
            series.add(f"{record.clock.now_ns()},{cpu_s:.3f},{rss}")

    def stop(self) -> None:
        """Take a last sample of the controller and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        for series in self._remote.values():
            series.stop()
        if self._own is not None and self._record is not None:
            self._own.close()
            for machine in ("controller", *self._remote):
                self._record.add(SamplerStopped(machine=machine))
