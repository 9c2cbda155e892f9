"""The conversation with an attester: stamps, limits, one request at a time, and programs that misbehave."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.attest.attester.channel import Inbox
from harness.attest.attester.contract import SAID_REASONS, AttesterError, Limits
from harness.attest.evidence import Evidence, KeyType, RefusedError, from_json
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.software_tpm import SoftwareTpm
from harness.attest.reasons import SILENT, Reason
from harness.clock import MonotonicClock
from harness.errors import SodbenchError
from tests.attest.attesting import ask
from tests.attest.fake_attester import ANSWER, FAKE, LIMITS, refused


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    return path


@pytest.fixture
def behaving(program: Path, tmp_path: Path) -> Iterator[Callable[..., LocalAttester]]:
    """Makes an attester whose program does as it is told for each request."""
    made: list[LocalAttester] = []

    def make(code: str, *, limits: Limits = LIMITS) -> LocalAttester:
        config = tmp_path / "behaviour"
        config.write_text(code)
        made.append(
            LocalAttester(config, MonotonicClock(), program=program, python=sys.executable, limits=limits)
        )
        return made[-1]

    yield make
    for attester in made:
        attester.close()


# -- errors


def test_an_error_has_its_own_exit_code_and_says_what_to_do() -> None:
    error = AttesterError(Reason.TPM_MEMORY, "full", where="a")
    assert isinstance(error, SodbenchError)
    assert (error.exit_code, error.kind, error.reason) == (15, "attester", Reason.TPM_MEMORY)
    assert "tpm2_flushcontext" in str(error)
    assert "a: tpm-memory" in str(error)
    assert [AttesterError(reason).retry for reason in (Reason.TPM_BUSY, Reason.NOT_ENROLLED)] == [True, False]


def test_what_an_attester_says_went_wrong_is_the_reason(behaving: Callable[..., LocalAttester]) -> None:
    attester = behaving('say({"id": request["id"], "error": {"reason": "tpm-busy", "why": "held"}})')
    error = refused(attester.properties)
    assert (error.reason, error.why, error.where) == (Reason.TPM_BUSY, "held", "this machine")
    attester = behaving('say({"id": request["id"], "error": {"reason": "bad mood", "why": 5}})')
    assert refused(attester.properties).reason is Reason.ATTESTER_FAILED


# -- answers that are none


@pytest.mark.parametrize(
    "said",
    [
        'say("no JSON")',
        'say("[" * 100_000)',
        'say("[]")',
        'say({"id": request["id"] + 1, "ok": properties()})',
        'say({"id": None, "ok": properties()})',
        'say({"id": request["id"]})',
        'say({"id": request["id"], "ok": []})',
        'say({"id": request["id"], "error": "word"})',
        'say({"id": request["id"], "ok": {}})',
        'say({"id": request["id"], "ok": {**properties(), "more": 1}})',
        'say({"id": request["id"], "ok": {**properties(), "simulated": "no"}})',
        'say({"id": request["id"], "ok": {**properties(), "memory_violations": 2**63}})',
    ],
)
def test_an_answer_of_another_form_is_malformed_evidence(
    said: str, behaving: Callable[..., LocalAttester]
) -> None:
    attester = behaving(f"{said} if number == 0 else {ANSWER}")
    assert refused(attester.properties).reason is Reason.MALFORMED_EVIDENCE


def test_evidence_of_another_form_is_malformed_evidence(
    behaving: Callable[..., LocalAttester], tpms: dict[KeyType, SoftwareTpm]
) -> None:
    evidence = tpms["ecc-p256"].evidence().to_json()
    good = json.dumps(json.dumps(evidence))
    said = (
        f'say({{"id": request["id"], "ok": {{**json.loads({good}), **([{{}}, {{"attest": "!"}}][number])}}}})'
    )
    attester = behaving(said)
    assert isinstance(attester.quote(ask()).evidence, Evidence)
    assert refused(lambda: attester.quote(ask())).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("moment", ["received_ns", "quoting_ns", "quoted_ns", "answered_ns"])
def test_moments_that_no_clock_has_are_malformed_evidence(
    tpms: dict[KeyType, SoftwareTpm], moment: str
) -> None:
    said = tpms["ecc-p256"].evidence().model_dump(mode="json")
    with pytest.raises(RefusedError) as caught:
        from_json({**said, "moments": {**said["moments"], moment: 10**400}})
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE


def _at_most(limit_bytes: int) -> Callable[[Inbox, int], bool]:
    fits = Inbox.fits

    def smaller(inbox: Inbox, size_bytes: int) -> bool:
        inbox.limit_bytes = min(inbox.limit_bytes, limit_bytes)
        return fits(inbox, size_bytes)

    return smaller


def test_a_line_beyond_every_log_is_a_size_limit(
    behaving: Callable[..., LocalAttester], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inbox, "fits", _at_most(1000))
    attester = behaving(f'say("x" * 5000) if request["id"] == 1 else {ANSWER}')
    assert refused(attester.properties).reason is Reason.SIZE_LIMIT
    assert attester.properties().boot_id == "b"


@pytest.mark.parametrize("nonce", [b"", bytes(65)])
def test_a_nonce_that_no_tpm_takes_is_not_sent(nonce: bytes, behaving: Callable[..., LocalAttester]) -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        behaving(ANSWER).quote(ask(nonce=nonce))


# -- programs that end, or do not


def test_a_program_that_ends_in_a_request_is_started_for_the_next_one(
    behaving: Callable[..., LocalAttester], tmp_path: Path
) -> None:
    count = tmp_path / "count"
    attester = behaving(
        f"open({str(count)!r}, 'a').write('x')\n"
        f"if os.path.getsize({str(count)!r}) == 1: sys.exit('struck by lightning')\n{ANSWER}"
    )
    error = refused(attester.properties)
    assert (error.reason, "struck by lightning" in error.why) == (Reason.ATTESTER_FAILED, True)
    assert (attester.started, attester.reopened) == (1, 0)
    attester.properties()
    attester.properties()
    assert (attester.started, attester.reopened) == (2, 1)
    # The request that failed was sent once: each one that arrived left a mark.
    assert count.read_text() == "xxx"


def test_each_start_after_the_first_is_told_with_what_ended_the_one_before(
    program: Path, tmp_path: Path
) -> None:
    config, told = tmp_path / "behaviour", list[str]()
    config.write_text("sys.exit('struck by lightning')")
    attester = LocalAttester(
        config,
        MonotonicClock(),
        program=program,
        python=sys.executable,
        limits=LIMITS,
        on_restart=told.append,
    )
    with contextlib.closing(attester):
        refused(attester.properties)
        assert told == []
        refused(attester.properties)
        refused(attester.properties)
    assert len(told) == attester.reopened == 2
    assert all("struck by lightning" in why for why in told)


def test_a_program_that_ended_between_two_requests_costs_the_second_nothing(
    behaving: Callable[..., LocalAttester],
) -> None:
    attester = behaving(f"{ANSWER}\nsys.exit(3)")
    for _ in range(3):
        attester.properties()
        await_end(attester)
    assert attester.reopened == 2


def await_end(attester: LocalAttester) -> None:
    assert attester.pid is not None
    for thread in [one for one in threading.enumerate() if one.name == "attester-lines"]:
        thread.join(10)
        assert not thread.is_alive()


def test_a_program_that_says_it_ends_is_not_asked_again(behaving: Callable[..., LocalAttester]) -> None:
    error = '{"reason": "timed-out", "why": "stuck", "ending": True}'
    attester = behaving(f'say({{"id": request["id"], "error": {error}}}); time.sleep(60)')
    for number in range(2):
        assert refused(attester.properties).reason is Reason.TIMED_OUT
        assert attester.started == number + 1


@pytest.mark.parametrize("reason", Reason)
def test_an_attester_gives_itself_no_verdict(reason: Reason, behaving: Callable[..., LocalAttester]) -> None:
    error = f'{{"reason": "{reason.value}", "why": "trust me"}}'
    said = refused(behaving(f'say({{"id": request["id"], "error": {error}}})').properties)
    assert said.reason is (reason if reason in SAID_REASONS else Reason.ATTESTER_FAILED)
    assert said.reason in SILENT | {Reason.CREDENTIAL, Reason.SIZE_LIMIT}


def test_no_answer_in_time_is_an_error_and_a_late_one_is_nobodys(
    behaving: Callable[..., LocalAttester],
) -> None:
    late_s = 10 * LIMITS.key_s
    attester = behaving(f"time.sleep({late_s} if request['op'] == 'identify' else 0); {ANSWER}")
    attester.properties()
    began = time.monotonic()
    assert refused(attester.identify).reason is Reason.TIMED_OUT
    assert LIMITS.key_s <= time.monotonic() - began < late_s
    assert attester.properties().boot_id == "b"
    assert attester.reopened == 1


def test_a_line_that_nobody_asked_for_ends_the_conversation(behaving: Callable[..., LocalAttester]) -> None:
    attester = behaving(f'{ANSWER}; say({{"id": request["id"] + 1, "ok": properties()}})')
    attester.properties()
    time.sleep(0.2)
    attester.properties()
    assert attester.reopened == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit('no TPM library')", Reason.ATTESTER_FAILED),
        ("print('hello')", Reason.MALFORMED_EVIDENCE),
        ("import time; time.sleep(60)", Reason.TIMED_OUT),
    ],
)
def test_a_program_that_does_not_become_ready(text: str, reason: Reason, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(text)
    limits = Limits(start_s=2, request_s=2, key_s=2)
    attester = LocalAttester(tmp_path, MonotonicClock(), program=path, python=sys.executable, limits=limits)
    error = refused(attester.properties)
    assert error.reason is reason
    assert reason is not Reason.ATTESTER_FAILED or "no TPM library" in error.why


def test_a_program_that_cannot_be_started_is_unreachable(tmp_path: Path) -> None:
    attester = LocalAttester(tmp_path, MonotonicClock(), python="/nonexistent/python")
    error = refused(attester.properties)
    assert error.reason is Reason.ATTESTER_UNREACHABLE
    assert error.reason in SILENT


def test_closing_ends_the_program_and_asking_starts_it(behaving: Callable[..., LocalAttester]) -> None:
    attester = behaving(ANSWER)
    attester.properties()
    process = attester.pid
    attester.close()
    assert attester.pid is None
    assert not Path(f"/proc/{process}").exists()
    attester.close()
    attester.properties()
    assert attester.started == 2


def test_threads_take_turns(behaving: Callable[..., LocalAttester]) -> None:
    said = '{**properties(), "boot_id": str(request["id"])}'
    attester = behaving(f'time.sleep(0.01); say({{"id": request["id"], "ok": {said}}})', limits=Limits())
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(attester.properties().boot_id for _ in range(10)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, seen)) == list(range(1, 41))
    assert attester.started == 1
