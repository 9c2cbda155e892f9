"""A captured stream: exactly on real captures, each bad one with its reason, and never an exception."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.workloads.contract import Line, Workload
from harness.workloads.stream import CAPTURE, SERVER, Stream, StreamOptions
from tests.workloads.commands import SITE, refused

SAMPLES = Path(__file__).parent / "samples" / "tshark-4.0-rtp"
S = 1_000_000_000
STREAM = Stream(StreamOptions())
HEADER = "frame.time_epoch,rtp.ssrc,rtp.seq,rtp.timestamp"
PACKETS = (SAMPLES / "packets.csv").read_text(encoding="utf-8").splitlines()


def counted(captured: int, dropped: int = 0) -> str:
    return (
        f"Packets received/dropped on interface 'eth0': {captured}/{dropped} "
        f"(pcap:{dropped}/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)"
    )


def row(second: float, number: int, source: str = "0x31c0f4e8") -> str:
    return f"{1_795_000_000 + int(second)}.{round(second % 1 * 1e9):09d},{source},{number % 65536},{number}"


def live(texts: list[str], source: str = CAPTURE) -> list[Line]:
    """Lines that arrive a quarter of a second late at most, as from a capture under way."""
    lines, now_ns = [], 7_000 * S
    for index, text in enumerate(texts):
        if found := re.match(r"1795(\d{6})\.(\d{9}),", text):
            now_ns = 7_000 * S + int(found[1] + found[2]) + index % 12 * S // 50
        lines.append(Line(t_ns=now_ns, text=text, source=source))
    return lines


def steady_stream(seconds: int, rate: int = 20) -> list[str]:
    rows = [row(index / rate, index) for index in range(seconds * rate + 1)]
    return [HEADER, *rows, counted(len(rows))]


def said(text: str) -> list[Line]:
    return [Line(t_ns=1, text=text, source=SERVER)]


GOLDEN = live([*PACKETS, counted(350)])


def test_the_golden_sample_has_the_outage_in_a_gap_and_lost_nothing() -> None:
    timeline = STREAM.parse(GOLDEN)
    assert [sample.work for sample in timeline.samples] == [
        *(21, 20, 18, 15, 20, 22, 39, 20, 22, 19, 10, 19, 21, 20, 21, 37)
    ]
    assert {sample.lost for sample in timeline.samples} == {0}
    assert [sample.stall_s for sample in timeline.samples][9:12] == [0.095465106, 0.474751280, 0.094686355]
    assert not timeline.problems
    assert timeline.summary == {"captured_packets": 350.0, "dropped_packets": 0.0}
    assert (timeline.work_unit, timeline.period_s, timeline.latency) == ("packets", 1.0, "")


def test_tsharks_own_table_of_the_golden_sample_says_the_same() -> None:
    table = (SAMPLES / "streams.txt").read_text(encoding="utf-8")
    found = re.search(r"0x31C0F4E8\s+\S.*?\s(\d+)\s+(\d+) \(\S+%\)\s+\S+\s+\S+\s+(\d+\.\d+)", table)
    assert found is not None
    samples = STREAM.parse(GOLDEN).samples
    assert sum(text.startswith("1795") for text in PACKETS) == int(found[1])
    assert sum(sample.lost or 0 for sample in samples) == int(found[2])
    assert max(sample.stall_s or 0 for sample in samples) * 1000 == pytest.approx(float(found[3]), abs=0.001)


def test_a_real_capture_with_a_loss_a_pause_and_a_wrap() -> None:
    # A sender of 95 packets a second that skips 7 numbers, wraps, and sleeps 2.5 s after its 300th packet.
    rows = [
        text.split("\t", 1) for text in (SAMPLES / "stamped.txt").read_text().splitlines() if "\t" in text
    ]
    timeline = STREAM.parse([Line(t_ns=int(t_ns), text=text, source=CAPTURE) for t_ns, text in rows])
    assert [sample.work for sample in timeline.samples] == [95, 95, 88, 15, 0, 33]
    assert [sample.lost for sample in timeline.samples] == [0, 0, 7, 0, 0, 0]
    assert [sample.stall_s for sample in timeline.samples] == pytest.approx(
        [0.013774955, 0.011343645, 0.08411051, 0.010617556, None, 2.511453445]
    )
    assert timeline.summary == {"captured_packets": 352.0, "dropped_packets": 0.0}
    assert not timeline.problems


def test_columns_are_found_by_name() -> None:
    other = ["rtp.seq,frame.len,frame.time_epoch,rtp.ssrc"]
    for text in PACKETS[1:]:
        stamp, source, number, _ = text.split(",")
        other.append(f"{number},1370,{stamp},{source}")
    assert STREAM.parse(live(other)).samples[0].work == 21


def test_what_is_steady() -> None:
    lines = live(steady_stream(8))
    assert not STREAM.steady(lines[: 1 + 20 * 6])
    assert STREAM.steady(lines[: 1 + 20 * 6 + 1])
    halved = [text for index, text in enumerate(steady_stream(8)) if index < 60 or index % 2]
    assert not STREAM.steady(live(halved))


def test_arrivals_place_the_seconds_but_do_not_count() -> None:
    timeline = STREAM.parse(live(steady_stream(8)))
    assert [sample.work for sample in timeline.samples] == [20] * 8
    assert [sample.t_ns - 7_000 * S for sample in timeline.samples] == [second * S for second in range(1, 9)]


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([], "no packet of the stream was captured"),
        ([HEADER, counted(0)], "no packet of the stream was captured"),
        (steady_stream(3)[:-1], "dumpcap did not say how many packets it dropped"),
        ([*steady_stream(3)[:-1], counted(61, 12)], "the capture dropped 12 packets"),
        ([*steady_stream(3)[:-1], counted(70)], "dumpcap captured 70 packets and tshark told of 61"),
        (
            [HEADER, row(0, 1), row(1, 2), "1795000002.000000000,,,", counted(3)],
            "1 captured packets were no RTP",
        ),
        (
            [HEADER, row(0, 1), row(1, 2), row(2, 900, "0x00000002"), counted(3)],
            "the stream began again: its source was 0x31c0f4e8 then 0x00000002",
        ),
        (
            [HEADER, row(0, 1), row(1, 2), row(2, 40_000), counted(3)],
            "the stream began again: its sequence went from 2 to 40000",
        ),
        (
            ['dumpcap: There is no device named "".', "(No such device exists)"],
            'the capture said: dumpcap: There is no device named "".',
        ),
        (
            [
                *steady_stream(3),
                'tshark: The file "-" appears to have been cut short.',
            ],
            'the capture said: tshark: The file "-" appears to have been cut short.',
        ),
        (["sh: 1: dumpcap: not found"], "the capture said: sh: 1: dumpcap: not found"),
    ],
)
def test_each_bad_capture_has_its_reason(texts: list[str], problem: str) -> None:
    assert problem in STREAM.parse(live(texts)).problems


def test_a_packet_that_was_captured_twice_is_work_once() -> None:
    once = steady_stream(8)[:-1]
    twice = [HEADER, *(text for text in once[1:] for _ in range(2))]
    timeline = STREAM.parse(live([*twice, counted(2 * (len(once) - 1))]))
    assert not timeline.problems
    assert [sample.work for sample in timeline.samples] == [20] * 8
    assert {sample.lost for sample in timeline.samples} == {0}
    assert timeline.summary["repeated_packets"] == len(once) - 1


def test_stamps_of_another_form_are_quoted_and_not_taken_for_silence() -> None:
    dated = [f"2026-11-27T18:00:{second:02d}.000000000Z,0x31c0f4e8,{second},{second}" for second in range(9)]
    problems = STREAM.parse(live([HEADER, *dated, counted(9)])).problems
    assert any("9 lines of tshark's" in problem and dated[0] in problem for problem in problems)
    assert not any("no packet" in problem for problem in problems)


def test_stamps_with_a_comma_in_them_are_quoted_too() -> None:
    dated = [f"Nov 27, 2026 18:00:0{second}.000000000 UTC,0x31c0f4e8,{second},1" for second in range(5)]
    (problem,) = STREAM.parse(live([HEADER, *dated, counted(5)])).problems
    assert "Nov 27, 2026 18:00:00" in problem


def test_a_client_whose_clock_was_set_is_a_problem() -> None:
    lines = live(steady_stream(20))
    moved = [
        Line(t_ns=line.t_ns + (200_000_000 if index > 200 else 0), text=line.text, source=line.source)
        for index, line in enumerate(lines)
    ]
    assert not STREAM.parse(lines).problems
    (problem,) = STREAM.parse(moved).problems
    assert problem == "the client's clock was set: it moved 200 ms against the controller's"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[00007fdd80006720] filesystem stream error: cannot open file /srv/stream/clip.ts (No such file)",
            "VLC said: filesystem stream error: cannot open file /srv/stream/clip.ts (No such file)",
        ),
        (
            "VLC is not supposed to be run as root. Sorry.",
            "VLC said: VLC is not supposed to be run as root. Sorry.",
        ),
        (
            "setpriv: failed to parse reuid: 'streamer'",
            "VLC said: setpriv: failed to parse reuid: 'streamer'",
        ),
    ],
)
def test_what_keeps_vlc_from_streaming_is_a_problem(text: str, problem: str) -> None:
    again = text.replace("80006720", "80016721")
    assert list(STREAM.parse([*live(steady_stream(3)), *said(text), *said(again)]).problems) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "[000056511dd06060] vlcpulse audio output error: PulseAudio server connection failure",
        '[0000561a3bbbbcd0] main libvlc error: interface "dbus,none" initialization failed',
        "[0000561a3bc87740] main interface error: no suitable interface module",
        "[00007fdd80006720] mpeg4audio decoder: AAC channels: 2 samplerate: 48000",
    ],
)
def test_what_vlc_complains_of_while_it_streams_is_none(text: str) -> None:
    assert not STREAM.parse([*live(steady_stream(3)), *said(text)]).problems


def test_vlcs_lines_are_never_packets() -> None:
    assert not STREAM.parse([*live(PACKETS, SERVER)]).samples


@given(st.integers(min_value=0, max_value=len(GOLDEN)), st.integers(min_value=0, max_value=60))
def test_truncated_output_never_tells_of_a_loss(lines: int, characters: int) -> None:
    part = GOLDEN[:lines]
    if part:
        part[-1] = Line(t_ns=part[-1].t_ns, text=part[-1].text[:characters], source=CAPTURE)
    timeline = STREAM.parse(part)
    assert sum(sample.lost or 0 for sample in timeline.samples) == 0
    whole = [sample.work for sample in STREAM.parse(GOLDEN).samples]
    assert [sample.work for sample in timeline.samples] == whole[: len(timeline.samples)]


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(GOLDEN)))
def test_reordered_and_repeated_output_never_raises(generator: random.Random, more: list[Line]) -> None:
    lines = [*GOLDEN, *more]
    generator.shuffle(lines)
    timeline = STREAM.parse(lines)
    assert all(sample.work >= 0 and (sample.lost or 0) >= 0 for sample in timeline.samples)
    assert STREAM.steady(lines) in (True, False)


@given(
    st.lists(
        st.binary(max_size=80).map(lambda data: data.decode(errors="replace"))
        | st.text()
        | st.from_regex(r"\A[0-9]{1,11}\.[0-9]{8,10},(0x[0-9a-f]{8})?,[0-9]{0,6},[0-9]*\Z"),
        max_size=20,
    )
)
def test_no_output_makes_it_raise(texts: list[str]) -> None:
    timeline = STREAM.parse([Line(t_ns=index, text=text, source=CAPTURE) for index, text in enumerate(texts)])
    assert "dumpcap did not say how many packets it dropped" in timeline.problems
    headed = [Line(t_ns=index, text=text, source=CAPTURE) for index, text in enumerate([HEADER, *texts])]
    assert STREAM.steady(headed) in (True, False)


def test_the_capture_is_there_before_the_stream_and_both_are_shell() -> None:
    workload: Workload = Stream(StreamOptions(clip="/srv/a clip.ts", port=6000))
    assert not refused(workload)
    capture, server = workload.processes(SITE)
    assert (capture.machine, capture.source, server.machine, server.source) == (
        *("client", CAPTURE, "guest", SERVER),
    )
    assert "'udp dst port 6000 and src host 198.18.0.1'" in capture.command
    assert "'#rtp{dst=198.18.0.2,port=6000,mux=ts}'" in server.command
    assert server.command.endswith("'/srv/a clip.ts'")
    assert list(workload.needs) == ["tshark"]


@pytest.mark.parametrize("wrong", [{"port": 80}, {"port": 65_535}, {"clip": ""}, {"ports": 5004}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StreamOptions.model_validate(wrong)
