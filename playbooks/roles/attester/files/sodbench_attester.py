"""The attester: answers questions about this machine over standard input and output, one JSON object a line.

It starts with ``{"ready": {...}}``, answers each request with ``{"id": ..., "ok": {...}}`` or
``{"id": ..., "error": {"reason": ..., "why": ...}}``, and ends with its input. Bytes travel as base64. It
never judges what it sends and never repeats a quote on its own after a failure.

A TPM that does not answer cannot be interrupted, so a watchdog answers in its place within the time limit,
with ``"ending": true`` in the error, and the program ends with status 75: the caller may start it again.
That frees all that it held, also its place in a software TPM's queue.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

# The TSS library would log to a standard error that is not read; an answer carries every code.
os.environ.setdefault("TSS2_LOG", "all+none")

from sodbench_config import Config, ConfigError, load_auth, load_config
from sodbench_lines import REQUEST_LIMIT_BYTES, encoded, requests, write
from sodbench_logs import ImaList, ListError, SizeLimitError, read_whole
from sodbench_tpm import Settings, Tpm
from sodbench_tpm_facts import ENDORSEMENTS, TpmError, swtpm_socket
from sodbench_watchdog import Watchdog, control_answers

KEYS = ("ecc-p256", "rsa-2048")
BANKS = ("sha256", "sha384")
NONCE_LIMIT_BYTES = 64
TRIES = 6
STATUS_STUCK, STATUS_CONFIG = 75, 78

Request: TypeAlias = dict[str, object]
Answer: TypeAlias = dict[str, object]


class RequestError(Exception):
    """A request does not say what it should."""


# -- requests


def _choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    value = request.get(name)
    if not isinstance(value, str) or value not in choices:
        raise RequestError(f"{name} is one of {', '.join(choices)}")
    return value


def _bytes(request: Request, name: str, limit: int) -> bytes:
    value = request.get(name)
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{name} is not base64") from error
    if not 0 < len(data) <= limit:
        raise RequestError(f"{name} is 1 to {limit} bytes in base64")
    return data


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _pcrs(request: Request) -> tuple[int, ...]:
    value = request.get("pcrs")
    if not isinstance(value, list) or not value or not all(_is_count(pcr) and pcr < 24 for pcr in value):
        raise RequestError("pcrs is a list of numbers from 0 to 23")
    if len(set(value)) != len(value):
        raise RequestError("pcrs names one twice")
    return tuple(value)


class Attester:
    """Answers requests about this machine, one after the other."""

    def __init__(self, config: Config, watchdog: Watchdog) -> None:
        auth = load_auth(config.auth) if config.auth else {}
        self._config = config
        self._watchdog = watchdog
        self.tpm = Tpm(Settings(config.tcti, **auth))
        self._ima = ImaList(config.ima) if config.ima else None
        self._of_tpm: dict[str, str] = {}
        self.versions = {
            "program": _own_version(),
            "python": platform.python_version(),
            "kernel": platform.release(),
            "path": f"ESAPI {config.tcti.partition(':')[0]}",
        }
        self._operations: dict[str, tuple[Callable[[Request, int], Answer], set[str]]] = {
            "identify": (self._identify, set()),
            "create_key": (self._create_key, {"key", "ek"}),
            "activate": (self._activate, {"key", "ek", "credential", "secret"}),
            "quote": (self._quote, {"key", "nonce", "bank", "pcrs", "ima_from", "event_log"}),
            "properties": (self._properties, set()),
        }

    def answer(self, request: Request, received_ns: int) -> Answer:
        """The answer's ``ok`` to a request that was read at `received_ns`.

        Raises:
            RequestError: The request is not one of the known ones, or has a wrong field.
            TpmError: The TPM failed.
            SizeLimitError, ListError, OSError: A log cannot be sent.
        """
        name = request.get("op")
        if not isinstance(name, str) or name not in self._operations:
            raise RequestError(f"op is one of {', '.join(self._operations)}")
        operation, fields = self._operations[name]
        if unknown := set(request) - fields - {"id", "op"}:
            raise RequestError(f"{name} has no {', '.join(sorted(unknown))}")
        return operation(request, received_ns)

    def _identify(self, _request: Request, _received_ns: int) -> Answer:
        with self._watchdog.limit(self._config.key_limit_s):
            found = self.tpm.identify()
        return {**found, "hostname": platform.node(), "kernel": platform.release(), "versions": self.versions}

    def _create_key(self, request: Request, _received_ns: int) -> Answer:
        key, ek = _choice(request, "key", KEYS), self._ek(request)
        with self._watchdog.limit(self._config.key_limit_s):
            return self.tpm.create_key(key, ek)

    def _activate(self, request: Request, _received_ns: int) -> Answer:
        key, ek = _choice(request, "key", KEYS), self._ek(request)
        credential, secret = _bytes(request, "credential", 1024), _bytes(request, "secret", 1024)
        with self._watchdog.limit(self._config.key_limit_s):
            return {"secret": self.tpm.activate(key, ek, credential, secret)}

    @staticmethod
    def _ek(request: Request) -> str | None:
        return None if request.get("ek") is None else _choice(request, "ek", tuple(ENDORSEMENTS))

    def _quote(self, request: Request, received_ns: int) -> Answer:
        key, bank = _choice(request, "key", KEYS), _choice(request, "bank", BANKS)
        nonce, pcrs = _bytes(request, "nonce", NONCE_LIMIT_BYTES), _pcrs(request)
        first, wants_events = request.get("ima_from"), request.get("event_log", False)
        if not (first is None or _is_count(first)) or not isinstance(wants_events, bool):
            raise RequestError("ima_from is a number from 0 or null, event_log is true or false")
        with self._watchdog.limit(self._config.tpm_limit_s):
            quote = self.tpm.quote(key, nonce, bank, pcrs, TRIES)
            self._of_tpm = self._of_tpm or self.tpm.versions()
        missing: dict[str, str] = {}
        # The list is read after the quote: it may have entries that the quote does not cover, but lacks none.
        events = self._events(missing) if wants_events else None
        ima = self._excerpt(first, self._config.logs_limit_bytes - len(events or b""), missing)
        return {
            "key": key,
            "attest": quote.attest,
            "signature": quote.signature,
            "bank": bank,
            "pcrs": quote.pcrs,
            "event_log": events,
            "ima": ima,
            "versions": {**self.versions, **self._of_tpm, **missing},
            "retries": quote.retries,
            "moments": {
                "received_ns": received_ns,
                "quoting_ns": quote.quoting_ns,
                "quoted_ns": quote.quoted_ns,
                "answered_ns": time.monotonic_ns(),
            },
        }

    def _events(self, missing: dict[str, str]) -> bytes | None:
        if self._config.event_log is None:
            missing["no_event_log"] = "none is configured"
            return None
        try:
            return read_whole(self._config.event_log, self._config.logs_limit_bytes)
        except FileNotFoundError as error:
            missing["no_event_log"] = f"{error.filename}: {error.strerror}"
            return None

    def _excerpt(self, first: object, limit: int, missing: dict[str, str]) -> Answer | None:
        if not isinstance(first, int):
            return None
        if self._ima is None:
            missing["no_ima"] = "none is configured"
            return None
        try:
            return self._ima.excerpt(first, limit)
        except FileNotFoundError as error:
            missing["no_ima"] = f"{error.filename}: {error.strerror}"
            return None

    def _properties(self, _request: Request, _received_ns: int) -> Answer:
        config, reasons, violations = self._config, {}, None
        if config.memory_violations is None:
            reasons["memory_violations"] = "this architecture does not count them"
        else:
            try:
                violations = int(config.memory_violations.read_text(encoding="ascii")[:32])
            except (OSError, ValueError) as error:
                reasons["memory_violations"] = f"{config.memory_violations}: {error}"
        return {
            "architecture": config.architecture or "tpm",
            "simulated": config.architecture is not None,
            "memory_violations": violations,
            "reasons": reasons,
            "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        }


def _own_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).resolve().parent.glob("sodbench_*.py")):
        digest.update(path.read_bytes())
    return f"sodbench_attester {digest.hexdigest()[:12]}"


# -- conversation


def _parsed(line: bytes | None) -> Request:
    if line is None:
        raise RequestError(f"a request has at most {REQUEST_LIMIT_BYTES} bytes")
    try:
        request = json.loads(line)
    except ValueError as error:
        raise RequestError(f"no JSON: {error}") from error
    if not isinstance(request, dict):
        raise RequestError("no JSON object")
    return request


class Conversation:
    """One request after the other, each with one answer, until the input ends."""

    def __init__(self, config: Config) -> None:
        self._watchdog = Watchdog(self._stuck)
        self._attester = Attester(config, self._watchdog)
        self._tcti = config.tcti
        self._id: int | None = None

    def run(self) -> None:
        """Answer standard input."""
        self._watchdog.start()
        write(encoded({"ready": self._attester.versions}))
        with open(0, "rb", closefd=False) as stream:
            for line in requests(stream):
                write(encoded(self._answer(line, time.monotonic_ns())))

    def _answer(self, line: bytes | None, received_ns: int) -> Answer:
        self._id = None
        try:
            request = _parsed(line)
            number = request.get("id")
            if not isinstance(number, int) or not _is_count(number):
                raise RequestError("id is a number from 0")
            self._id = number
            return {"id": self._id, "ok": self._attester.answer(request, received_ns)}
        except TpmError as error:
            return self._error(error.reason, str(error))
        except (SizeLimitError, MemoryError) as error:
            return self._error("size-limit", str(error) or "not enough memory")
        except (RequestError, ListError, OSError) as error:
            return self._error("attester-failed", str(error))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # A defect here or in a library ends this answer, never the conversation.
            return self._error("attester-failed", f"{type(error).__name__}: {error}")

    def _error(self, reason: str, why: str) -> Answer:
        return {"id": self._id, "error": {"reason": reason, "why": why}}

    def _stuck(self, limit_s: float) -> None:
        """Answer for a TPM that does not, and end. Runs in the watchdog's thread."""
        stage, path = self._attester.tpm.stage, swtpm_socket(self._tcti)
        busy = path is not None and control_answers(path)
        why = f"{stage or 'the TPM'}: no answer within {limit_s:g} s"
        if busy:
            why += "; the software TPM is alive and may be serving another client"
        reason = "tpm-busy" if busy and not stage.startswith("TPM2_") else "timed-out"
        said: Answer = {"id": self._id, "error": {"reason": reason, "why": why, "ending": True}}
        os.set_blocking(1, False)
        try:
            os.write(1, b"".join(encoded(said)))
        finally:  # also when the answer cannot be written
            os._exit(STATUS_STUCK)


def main() -> int:
    """Run until standard input ends; 78 when the configuration is wrong."""
    parser = argparse.ArgumentParser(description="Answer questions about this machine's TPM and logs.")
    parser.add_argument("--config", type=Path, required=True, help="a TOML file")
    arguments = parser.parse_args()
    try:
        conversation = Conversation(load_config(arguments.config))
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return STATUS_CONFIG
    try:
        conversation.run()
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
