"""The streaming server: VLC in the guest sends a clip as RTP, tshark on the client captures every packet.

Work is packets, counted in seconds of the capturing kernel's clock. When tshark's lines arrive says only what
that clock is to the controller's: dumpcap hands packets on four times a second. A stopped guest loses no
packet, so that the outage is the gap between two of them and never the loss. A packet that was captured twice
is one packet.

When the clip starts again, VLC sends its queue at once: a second with up to twice the packets, with
some clips a gap of 0.2 s next to it, and no change of source or sequence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field

from harness.clock import NS_PER_S
from harness.strict import Strict
from harness.workloads.contract import Line, Process, Site, Step, Timeline
from harness.workloads.packets import capture, rtp
from harness.workloads.packets.rtp import Packet
from harness.workloads.paths import GuestPath
from harness.workloads.steadiness import level

PERIOD_S = 1.0
CAPTURE, SERVER = "capture", "server"
AS_STREAMER = 'setpriv --reuid=streamer --regid="$(id -g streamer)" --init-groups --reset-env'
"""VLC refuses to run as root. runuser would do too, but sleeps two seconds whenever it is ended."""

FAILURE = re.compile(
    r"cannot (?:open file|create|resolve|start stream)|unable to open|chain failed|as root|setpriv:|not found"
)
ADDRESS = re.compile(r"^\[[0-9a-f]+\] ")
"""VLC begins a line with the address of the object that speaks."""


class StreamOptions(Strict):
    """What is streamed, and to which port."""

    clip: GuestPath = Field(default="/srv/stream/clip.ts", description="MPEG-TS file in the guest")
    port: int = Field(default=5004, ge=1024, le=65534, description="UDP port of the client")


class Stream:
    """VLC in the guest, captured on the client (Table IV: streaming server, Wireshark captures)."""

    name: ClassVar[str] = "stream"
    title: ClassVar[str] = "Streaming server"
    steady_test: ClassVar[str] = (
        "the packets of the last three full seconds and of the three before them differ by at most 25 % of "
        "their mean, and neither is 0"
    )
    Options: ClassVar[type[BaseModel]] = StreamOptions
    generator = "VLC + tshark"
    substitutes: str | None = None
    needs: Sequence[str] = ("tshark",)

    def __init__(self, options: BaseModel) -> None:
        self._options = StreamOptions.model_validate(options.model_dump())

    def version(self) -> Step | None:
        """Tshark's; VLC's is that of the image's package."""
        command = "tshark --version 2>/dev/null | sed -n 's/^TShark (Wireshark) \\([0-9.]*\\).*/\\1/p'"
        return Step(what="ask tshark for its version", machine="client", command=command)

    def preparation(self, site: Site) -> Sequence[Step]:  # noqa: ARG002
        """VLC tries without an end where it cannot read its clip, so that is asked first."""
        command = f"{AS_STREAMER} head -c 1 {shlex.quote(self._options.clip)} >/dev/null"
        return (Step(what="read the clip as the user streamer", machine="guest", command=command),)

    def processes(self, site: Site) -> Sequence[Process]:
        """The capture, then the stream."""
        port, clip = self._options.port, shlex.quote(self._options.clip)
        chain = shlex.quote(f"#rtp{{dst={site.client_address},port={port},mux=ts}}")
        server = f"exec {AS_STREAMER} cvlc -I dummy --loop --sout {chain} --sout-keep {clip}"
        return (
            Process(machine="client", command=capture.command(site.guest_address, port), source=CAPTURE),
            Process(machine="guest", command=server, source=SERVER),
        )

    def steady(self, lines: Sequence[Line]) -> bool:
        """Whether `steady_test` holds for the output so far."""
        return level([sample.work for sample in self.parse(lines).samples])

    def parse(self, lines: Sequence[Line]) -> Timeline:
        """Packets a second from the first one on; dumpcap's own count as the summary."""
        seen = capture.read([line for line in lines if line.source == CAPTURE])
        again = rtp.repeats([packet.number for packet in seen.packets])
        packets = [packet for packet, repeat in zip(seen.packets, again, strict=True) if not repeat]
        lost, jumps = rtp.losses([packet.number for packet in packets])
        return Timeline(
            work_unit="packets",
            period_s=PERIOD_S,
            samples=tuple(rtp.samples(packets, lost, round(PERIOD_S * NS_PER_S))),
            problems=(*seen.problems, *_restarts(packets, jumps), *_complaints(lines)),
            summary={**seen.counts, "repeated_packets": float(sum(again))} if any(again) else seen.counts,
        )


def _restarts(packets: Sequence[Packet], jumps: Sequence[str]) -> Iterator[str]:
    sources = dict.fromkeys(packet.source for packet in packets)
    if len(sources) > 1:
        yield f"the stream began again: its source was {' then '.join(list(sources)[:5])}"
    elif jumps:
        yield f"the stream began again: its sequence went from {', from '.join(jumps[:5])}"
    change_ns = rtp.clock_change_ns(packets)
    if change_ns > rtp.MAX_CLOCK_CHANGE_NS:
        yield f"the client's clock was set: it moved {change_ns / 1e6:.0f} ms against the controller's"


def _complaints(lines: Sequence[Line]) -> Iterator[str]:
    texts = (ADDRESS.sub("", line.text.strip()) for line in lines if line.source == SERVER)
    said = dict.fromkeys(text[:200] for text in texts if FAILURE.search(text))
    for text in list(said)[:3]:
        yield f"VLC said: {text}"
