from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import ClockOffset, MonotonicClock
from harness.evidence import journal
from harness.evidence.journal import Journal
from harness.evidence.observers.clocks import JUMP_NS, Exchange, offset, own_kernel, restarted, sample
from harness.evidence.record import Record
from harness.rig.limits import Limits

KERNEL = "6.1.0-30-amd64/#1_SMP"
WALL_NS = 1_790_000_000_000_000_000
"""The controller's wall clock minus its monotonic one."""


def exchange(
    sent_ns: int,
    *,
    out_ns: int,
    back_ns: int,
    monotonic_ns: int = 0,
    realtime_ns: int = 0,
    kernel: str = KERNEL,
) -> Exchange:
    """An exchange with a machine whose clocks are ahead by `monotonic_ns` and `realtime_ns`."""
    asked = sent_ns + out_ns
    return Exchange(
        sent_ns=sent_ns,
        received_ns=asked + back_ns,
        monotonic_ns=asked + monotonic_ns,
        realtime_ns=asked + realtime_ns,
        kernel=kernel,
    )


def test_one_kernel_has_one_clock_exactly() -> None:
    found = offset(
        "a",
        [exchange(1_000_000, out_ns=900, back_ns=100, realtime_ns=WALL_NS)],
        kernel=KERNEL,
        monotonic_to_realtime_ns=WALL_NS,
    )
    assert found.same_kernel
    assert (found.monotonic_offset_ns, found.realtime_offset_ns, found.uncertainty_ns) == (0, -WALL_NS, 0)
    assert found.machine == "a"


def test_another_build_is_another_kernel_even_when_the_clocks_agree() -> None:
    found = offset(
        "a",
        [exchange(0, out_ns=500, back_ns=500, kernel="6.1.0-31-amd64/#1_SMP")],
        kernel=KERNEL,
        monotonic_to_realtime_ns=WALL_NS,
    )
    assert not found.same_kernel
    assert found.uncertainty_ns == 500


def test_the_same_build_booted_at_another_time_is_another_kernel() -> None:
    found = offset(
        "b",
        [exchange(0, out_ns=500, back_ns=500, monotonic_ns=5_000_000)],
        kernel=KERNEL,
        monotonic_to_realtime_ns=WALL_NS,
    )
    assert not found.same_kernel
    assert found.monotonic_offset_ns == -5_000_000


def test_the_quickest_exchange_decides() -> None:
    slow = exchange(0, out_ns=9_000_000, back_ns=0, monotonic_ns=77)
    quick = exchange(10**9, out_ns=30, back_ns=30, monotonic_ns=77)
    found = offset("b", [slow, quick, slow], kernel="other", monotonic_to_realtime_ns=WALL_NS)
    assert (found.monotonic_offset_ns, found.uncertainty_ns) == (-77, 30)


def test_without_an_exchange_there_is_no_offset() -> None:
    with pytest.raises(ValueError, match="empty"):
        offset("b", [], kernel=KERNEL, monotonic_to_realtime_ns=WALL_NS)


NS = st.integers(0, 10**9)


@given(
    sent_ns=st.integers(0, 10**15),
    skew_ns=st.integers(-(10**15), 10**15),
    wall_skew_ns=st.integers(-(10**18), 10**18),
    paths=st.lists(st.tuples(NS, NS), min_size=1, max_size=5),
    stamp_ns=st.integers(0, 10**15),
    kernel=st.sampled_from([KERNEL, "another"]),
)
def test_a_stamp_taken_elsewhere_is_mapped_back_to_within_the_uncertainty(
    sent_ns: int,
    skew_ns: int,
    wall_skew_ns: int,
    paths: list[tuple[int, int]],
    stamp_ns: int,
    kernel: str,
) -> None:
    exchanges = [
        exchange(
            sent_ns, out_ns=out, back_ns=back, monotonic_ns=skew_ns, realtime_ns=wall_skew_ns, kernel=kernel
        )
        for out, back in paths
    ]
    found = offset("b", exchanges, kernel=KERNEL, monotonic_to_realtime_ns=WALL_NS)
    if found.same_kernel:  # then the clocks agreed to within what the exchange could tell
        best = min(out + back for out, back in paths)
        assert abs(skew_ns) <= best + 1
        return
    error_ns = (stamp_ns + skew_ns + found.monotonic_offset_ns) - stamp_ns
    wall_error_ns = (stamp_ns + wall_skew_ns + found.realtime_offset_ns) - stamp_ns
    assert abs(error_ns) <= found.uncertainty_ns
    assert abs(wall_error_ns) <= found.uncertainty_ns


def test_the_controllers_kernel_is_one_word() -> None:
    assert len(own_kernel().split()) == 1
    assert own_kernel().count("/") >= 1


def sampled(machine: str, *, offset_ns: int = 0, boot: str = "") -> ClockOffset:
    return ClockOffset(
        machine=machine,
        monotonic_offset_ns=offset_ns,
        realtime_offset_ns=0,
        uncertainty_ns=100_000,
        same_kernel=False,
        boot_id=boot,
    )


def test_machines_that_ran_through_are_not_mentioned() -> None:
    before = {name: sampled(name, boot=f"boot of {name}") for name in ("a", "b", "client", "guest")}
    drifted = {name: sampled(name, offset_ns=JUMP_NS // 2, boot=f"boot of {name}") for name in before}
    assert restarted(("a", "b"), before, drifted) == []


def test_a_boot_of_its_own_is_a_reboot() -> None:
    before, after = {"b": sampled("b", boot="one")}, {"b": sampled("b", boot="two")}
    assert restarted(("a", "b"), before, after) == ["b was rebooted during the trial"]


@pytest.mark.parametrize("boot", ["", "the same"])
def test_a_clock_that_began_anew_or_stood_still_is_told_without_boot_ids(boot: str) -> None:
    before = {"b": sampled("b", boot=boot)}
    (why,) = restarted(("b",), before, {"b": sampled("b", offset_ns=3_600 * 10**9, boot=boot)})
    assert why.startswith("the clock of b moved by 3600.0 s")


def test_a_host_that_does_not_answer_at_the_end_is_not_known_to_have_run_through() -> None:
    (why,) = restarted(
        ("a", "b"), {"a": sampled("a"), "b": sampled("b"), "client": sampled("c")}, {"a": sampled("a")}
    )
    assert why == "b did not answer at the trial's end: whether it was rebooted is not known"


def answering(line: str | None) -> SimpleNamespace:
    """A machine whose probe answers each question with `line`; None for a probe that is silent."""

    def stream(_command: str, on_line: Callable[[int, str], None], **_: object) -> SimpleNamespace:
        send = (lambda _text: None) if line is None else (lambda _text: on_line(0, line))
        return SimpleNamespace(send=send, close=lambda: None)

    limits = Limits(answer_s=0.05)
    return SimpleNamespace(
        role="b", python=lambda _program: "", stream=stream, endpoint=SimpleNamespace(limits=limits)
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (None, ("no clock reading within 0.05 s", "sodbench_limits.answer_s")),
        ("bash: warning", ("no clock reading", "it answered 'bash: warning'")),
    ],
)
def test_a_machine_that_gives_no_reading_is_told_with_the_limit_that_its_rig_sets(
    tmp_path: Path, line: str | None, words: tuple[str, ...]
) -> None:
    place = tmp_path / "journal.jsonl"
    with Journal(place, MonotonicClock()) as writer:
        record = Record(journal=writer, clock=MonotonicClock(), folder=tmp_path, trial="001-idle", attempt=1)
        assert sample(cast("Any", {"b": answering(line)}), record) == {}
    (told,) = [str(event.data) for event in journal.read(place) if event.kind == "observer.failed"]
    for one in words:
        assert one in told.replace("\\", "")
