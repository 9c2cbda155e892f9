"""The attester in bad weather: a TPM that is gone, silent, held by another, full or locked."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.attest.attester.contract import AttesterError
from harness.attest.played.local_attester import LocalAttester
from harness.attest.played.local_tpm import LocalTpm
from harness.attest.reasons import Reason
from harness.attest.tpm.keys import AttestationKey
from harness.attest.tpm.structures import parse_attest, parse_signature
from tests.attest.attesting import FILES, PROGRAM, PYTHON, ask, attesting, configured, left_behind

pytestmark = pytest.mark.programs

LIMIT_S = 2.0


@pytest.fixture
def limited(swtpm: LocalTpm) -> Iterator[LocalAttester]:
    """An attester with its keys, whose TPM has two seconds for everything."""
    with attesting(configured(swtpm.folder, swtpm.tcti)) as attester:
        attester.create_key("ecc-p256")
        attester.create_key("rsa-2048")
    config = configured(swtpm.folder, swtpm.tcti, tpm_limit_s=LIMIT_S, key_limit_s=LIMIT_S)
    with attesting(config) as attester:
        attester.quote(ask())
        yield attester


@contextmanager
def holding(tpm: LocalTpm) -> Iterator[socket.socket]:
    """Another client that has the software TPM's only connection and asks nothing."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(tpm.tcti.partition("path=")[2])
        yield client


@contextmanager
def anew(state: Path, path: Path) -> Iterator[None]:
    """Another software TPM with the state and at the place of one that has ended."""
    channels = ("--server", f"type=unixio,path={path}", "--ctrl", f"type=unixio,path={path}.ctrl")
    flags = ("--tpmstate", f"dir={state}", "--flags", "startup-clear,not-need-init")
    with subprocess.Popen(["swtpm", "socket", "--tpm2", *channels, *flags]) as process:
        try:
            while not path.exists():
                assert process.poll() is None
                time.sleep(0.005)
            yield
        finally:
            process.terminate()


def refused(asked: Callable[[], object]) -> tuple[Reason, float, str]:
    """Why and after how many seconds the attester gave no answer."""
    began = time.monotonic()
    with pytest.raises(AttesterError) as caught:
        asked()
    return caught.value.reason, time.monotonic() - began, caught.value.why


@pytest.mark.parametrize("tcti", ["swtpm:path=/nonexistent/s", "device:/nonexistent", "device:/dev/null"])
def test_without_a_tpm_the_answer_comes_at_once(tcti: str, tmp_path: Path) -> None:
    with attesting(configured(tmp_path, tcti)) as attester:
        for asked in (
            attester.identify,
            lambda: attester.quote(ask()),
            lambda: attester.create_key("rsa-2048"),
        ):
            reason, seconds, why = refused(asked)
            assert reason is Reason.TPM_GONE, why
            assert seconds < 5
        assert attester.properties().architecture == "tpm"
        assert attester.started == 1


def test_a_tcti_that_is_not_installed_is_an_answer_too(tmp_path: Path) -> None:
    with attesting(configured(tmp_path, "nosuch:thing")) as attester:
        assert refused(attester.identify)[0] in {Reason.TPM_GONE, Reason.ATTESTER_FAILED}


def test_a_tpm_that_dies_while_it_is_waited_for(limited: LocalAttester, swtpm: LocalTpm) -> None:
    os.kill(swtpm.pid, signal.SIGSTOP)
    threading.Timer(LIMIT_S / 3, os.kill, (swtpm.pid, signal.SIGKILL)).start()
    reason, seconds, _ = refused(lambda: limited.quote(ask()))
    assert reason is Reason.TPM_GONE
    assert seconds < LIMIT_S
    assert refused(lambda: limited.quote(ask()))[0] is Reason.TPM_GONE
    assert limited.started == 1


def test_a_tpm_that_dies_in_the_middle_of_quotes(limited: LocalAttester, swtpm: LocalTpm) -> None:
    threading.Timer(0.2, os.kill, (swtpm.pid, signal.SIGKILL)).start()

    def quotes() -> None:
        while True:
            limited.quote(ask("rsa-2048"))

    reason, seconds, _ = refused(quotes)
    assert reason is Reason.TPM_GONE
    assert 0.1 < seconds < 0.2 + LIMIT_S


def test_a_silent_tpm_is_answered_for_in_time_and_may_speak_again(
    limited: LocalAttester, swtpm: LocalTpm
) -> None:
    for number, asked in enumerate([lambda: limited.quote(ask()), limited.identify], start=2):
        os.kill(swtpm.pid, signal.SIGSTOP)
        reason, seconds, why = refused(asked)
        os.kill(swtpm.pid, signal.SIGCONT)
        assert reason is Reason.TIMED_OUT, why
        assert LIMIT_S / 2 < seconds < LIMIT_S
        limited.quote(ask())
        assert (limited.started, limited.reopened) == (number, number - 1)
    assert not left_behind(swtpm)


def test_a_tpm_that_falls_silent_in_the_middle_of_quotes(limited: LocalAttester, swtpm: LocalTpm) -> None:
    threading.Timer(0.2, os.kill, (swtpm.pid, signal.SIGSTOP)).start()
    ended: list[float] = []

    def quotes() -> None:
        while True:
            limited.quote(ask("rsa-2048"))
            ended.append(time.monotonic())

    reason, _, _ = refused(quotes)
    assert time.monotonic() - ended[-1] < LIMIT_S
    os.kill(swtpm.pid, signal.SIGCONT)
    assert reason is Reason.TIMED_OUT
    limited.quote(ask())
    assert not left_behind(swtpm)


def test_a_tpm_that_another_client_holds_is_busy(limited: LocalAttester, swtpm: LocalTpm) -> None:
    with holding(swtpm):
        reason, seconds, why = refused(lambda: limited.quote(ask()))
        assert (reason, "another client" in why) == (Reason.TPM_BUSY, True)
        assert seconds < LIMIT_S
        assert limited.properties().architecture == "tpm"
    limited.quote(ask())
    assert limited.reopened == 1


def test_a_client_that_leaves_in_time_is_waited_for(limited: LocalAttester, swtpm: LocalTpm) -> None:
    with holding(swtpm) as client:
        began = time.monotonic()
        threading.Timer(LIMIT_S / 3, client.close).start()
        answer = limited.quote(ask())
    assert time.monotonic() - began > LIMIT_S / 4
    moments = answer.evidence.moments
    assert moments.quoting_ns - moments.received_ns > LIMIT_S / 4 * 1e9
    assert limited.started == 1


def test_attesters_of_one_tpm_take_turns(limited: LocalAttester, swtpm: LocalTpm) -> None:
    failed: list[AttesterError] = []
    done: list[bytes] = []

    def quotes(config: Path, own: int) -> None:
        with attesting(config) as attester:
            for number in range(50):
                try:
                    done.append(attester.quote(ask(nonce=b"%d-%d" % (own, number))).evidence.attest)
                except AttesterError as error:
                    failed.append(error)

    config = configured(swtpm.folder, swtpm.tcti)
    threads = [threading.Thread(target=quotes, args=(config, own)) for own in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, len(done), len(set(done))) == ([], 150, 150)
    assert not left_behind(swtpm)


def test_a_tpm_that_is_left_open_between_quotes_is_anybodys(limited: LocalAttester, swtpm: LocalTpm) -> None:
    for _ in range(3):
        limited.quote(ask())
        assert len(swtpm.run("tpm2_getrandom", "--hex", "8").stdout.strip()) == 16
    assert limited.started == 1


def test_a_key_that_was_made_anew_by_another_attester_signs_the_next_quote(
    limited: LocalAttester, swtpm: LocalTpm
) -> None:
    before = limited.quote(ask()).evidence
    with attesting(configured(swtpm.folder, swtpm.tcti)) as other:
        key = AttestationKey.from_public(other.create_key("ecc-p256").public)
    after = limited.quote(ask()).evidence
    assert key.verify(parse_signature(after.signature), after.attest)
    assert not key.verify(parse_signature(before.signature), before.attest)
    assert limited.started == 1


def test_a_tpm_that_was_started_anew_answers_at_once(limited: LocalAttester, swtpm: LocalTpm) -> None:
    first = parse_attest(limited.quote(ask()).evidence.attest).clock
    swtpm.run("tpm2_shutdown", "--clear")
    os.kill(swtpm.pid, signal.SIGTERM)
    path = Path(swtpm.tcti.partition("path=")[2])
    while path.exists():
        time.sleep(0.005)
    with anew(swtpm.folder / "state", path):
        second = parse_attest(limited.quote(ask()).evidence.attest).clock
    assert second.reset_count == first.reset_count + 1
    assert limited.started == 1


def test_a_tpm_that_others_filled_says_so(limited: LocalAttester, swtpm: LocalTpm) -> None:
    for number in range(3):
        swtpm.run("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", f"{number}.ctx")
    filled = left_behind(swtpm)
    assert filled.count("0x8000000") == 3
    for asked in (lambda: limited.quote(ask()), lambda: limited.create_key("ecc-p256"), limited.identify):
        reason, _, why = refused(asked)
        assert reason is Reason.TPM_MEMORY, why
    assert left_behind(swtpm) == filled
    swtpm.flush()
    limited.quote(ask())
    assert limited.started == 1


def test_a_tpm_without_room_for_sessions_says_so(limited: LocalAttester, swtpm: LocalTpm) -> None:
    for number in range(3):
        swtpm.run("tpm2_startauthsession", "-S", f"{number}.session", "--policy-session")
    limited.quote(ask())
    swtpm.run("tpm2_flushcontext", "--loaded-session")
    swtpm.run("tpm2_flushcontext", "--saved-session")
    limited.create_key("ecc-p256")
    assert not left_behind(swtpm)


def test_a_locked_tpm_is_busy(limited: LocalAttester, swtpm: LocalTpm) -> None:
    swtpm.run("tpm2_dictionarylockout", "-s", "-n", "1", "-t", "1000", "-l", "1000")
    swtpm.run("tpm2_createprimary", "-C", "o", "-p", "right", "-c", "locked.ctx")
    swtpm.run("tpm2_evictcontrol", "-C", "o", "-c", "locked.ctx", "0x81000001")
    swtpm.flush()
    swtpm.run("tpm2_create", "-C", "0x81000001", "-P", "wrong", "-u", "u", "-r", "r", check=False)
    reason, _, why = refused(lambda: limited.quote(ask()))
    assert reason is Reason.TPM_BUSY, why
    assert "lockout" in why.lower()


def test_the_program_ends_with_its_input_even_while_the_tpm_is_silent(swtpm: LocalTpm) -> None:
    config = configured(swtpm.folder, swtpm.tcti, key_limit_s=LIMIT_S)
    program = subprocess.Popen(
        [PYTHON, "-BEs", str(PROGRAM), "--config", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None and program.stdout is not None
    assert program.stdout.readline().startswith(b'{"ready"')
    os.kill(swtpm.pid, signal.SIGSTOP)
    program.stdin.write(b'{"id":1,"op":"identify"}\n')
    program.stdin.close()
    program.stdout.close()  # the answer is not read either
    assert program.wait(LIMIT_S * 5) == 75
    os.kill(swtpm.pid, signal.SIGCONT)


def test_every_code_of_the_program_is_one_of_the_projects() -> None:
    text = "".join(path.read_text() for path in FILES.glob("*.py"))
    codes = set(re.findall(r'"((?:tpm|attester|timed|size|not|malformed)-[a-z]+|credential)"', text))
    assert {"tpm-busy", "tpm-memory", "tpm-gone", "timed-out", "size-limit", "not-enrolled"} <= codes
    assert codes <= set(Reason)
