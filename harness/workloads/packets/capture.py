"""A capture of RTP on a machine: the command that makes it, and what its lines say.

dumpcap captures and tshark decodes, joined by a pipe, because dumpcap alone says how many packets it dropped
also when it dropped none. A signal is for dumpcap: tshark ends when the pipe does, so that nothing which was
captured is cut short.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.workloads.contract import Line
from harness.workloads.packets.rtp import SEQUENCE, Packet

TIME, SOURCE, NUMBER = "frame.time_epoch", "rtp.ssrc", "rtp.seq"
FIELDS = (TIME, SOURCE, NUMBER, "rtp.timestamp")
STAMP = re.compile(r"(\d{1,10})\.(\d{9})", re.ASCII)
COUNTS = re.compile(r"Packets received/dropped on interface .*: (\d{1,15})/(\d{1,15}) \(pcap:.*", re.ASCII)
_QUOTED = 80
FAILURE = re.compile(
    r"^(?:dumpcap|tshark|sh|Error): ?\S|no such device|permission|not found|cut short|could not be initiated",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a capture's lines say.

    Attributes:
        packets: The RTP packets in order.
        counts: dumpcap's final word, ``captured_packets`` and ``dropped_packets``; empty before it.
        problems: Why the capture cannot be relied on, in words.
    """

    packets: Sequence[Packet]
    counts: Mapping[str, float]
    problems: Sequence[str]


def command(sender: str, port: int) -> str:
    """The command that captures UDP from `sender` to `port`, on the interface that leads to `sender`."""
    interface = f"$(ip -o route get {shlex.quote(sender)} | sed 's/.* dev \\([^ ]*\\).*/\\1/')"
    wanted = shlex.quote(f"udp dst port {port} and src host {sender}")
    fields = " ".join(f"-e {field}" for field in FIELDS)
    return (
        f'trap : TERM; dumpcap -q -i "{interface}" -f {wanted} -w - | (trap "" TERM; exec tshark -l -n -r - '
        f"-d udp.port=={port},rtp -T fields -E header=y -E separator=, {fields})"
    )


def read(lines: Sequence[Line]) -> Capture:
    """The lines of one such command, by the names in its header. Never raises."""
    packets: list[Packet] = []
    foreign = 0
    unread: list[str] = []
    counts: dict[str, float] = {}
    header: list[str] = []
    for line in lines:
        text = line.text.strip()
        row = text.split(",")
        if {TIME, SOURCE, NUMBER} <= set(row):
            header = row
        elif found := COUNTS.fullmatch(text):
            counts = {"captured_packets": float(found[1]), "dropped_packets": float(found[2])}
        elif header and len(row) == len(header) and (packet := _packet(line.t_ns, _cells(header, row))):
            packets.append(packet)
        elif header and len(row) == len(header) and _foreign(_cells(header, row)):
            foreign += 1
        elif header and len(row) >= len(header):
            unread.append(text)
    problems = tuple(_problems(lines, len(packets), foreign, unread, counts))
    return Capture(packets=packets, counts=counts, problems=problems)


def _cells(header: Sequence[str], row: Sequence[str]) -> Mapping[str, str]:
    return dict(zip(header, row, strict=True))


def _foreign(cells: Mapping[str, str]) -> bool:
    """Whether it is a packet that tshark does not recognise as RTP."""
    return STAMP.fullmatch(cells[TIME]) is not None and not cells[SOURCE]


def _packet(arrival_ns: int, cells: Mapping[str, str]) -> Packet | None:
    stamp, number = STAMP.fullmatch(cells[TIME]), re.fullmatch(r"[0-9]{1,5}", cells[NUMBER])
    if stamp is None or number is None or not cells[SOURCE].startswith("0x") or int(number[0]) >= SEQUENCE:
        return None
    # Digits, never a float: a double holds no nanoseconds of this century.
    stamp_ns = int(stamp[1] + stamp[2])
    return Packet(stamp_ns=stamp_ns, arrival_ns=arrival_ns, source=cells[SOURCE], number=int(number[0]))


def _problems(
    lines: Sequence[Line], packets: int, foreign: int, unread: Sequence[str], counts: Mapping[str, float]
) -> Iterator[str]:
    if unread:
        yield (
            f"{len(unread)} lines of tshark's could not be read, the first is {unread[0][:_QUOTED]!r}: a "
            f"packet has its {TIME} in seconds with nine decimals, its {SOURCE} as 0x... and its {NUMBER}"
        )
    elif not packets:
        yield "no packet of the stream was captured"
    if foreign:
        yield f"{foreign} captured packets were no RTP"
    told = packets + foreign + len(unread)
    if not counts:
        yield "dumpcap did not say how many packets it dropped"
    elif counts["dropped_packets"]:
        yield f"the capture dropped {counts['dropped_packets']:.0f} packets"
    elif counts["captured_packets"] != told:
        captured = counts["captured_packets"]
        yield f"dumpcap captured {captured:.0f} packets and tshark told of {told}"
    said = dict.fromkeys(line.text.strip()[:200] for line in lines if FAILURE.search(line.text.strip()))
    for text in list(said)[:3]:
        yield f"the capture said: {text}"
