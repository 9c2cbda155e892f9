"""The attester of a played machine: it answers the requests of the real one from a TPM in software keys.

It speaks the protocol of the program that the playbooks install, one JSON object a line, and knows of time
only what it is told.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import rsa

from harness.attest.attester.contract import Identity
from harness.attest.evidence import KeyType, Moments
from harness.attest.played import logs
from harness.attest.played.authority import PlayedAuthority
from harness.attest.played.platform import Platform, booted
from harness.attest.played.software_tpm import CLOCK, FIRMWARE, SoftwareTpm, ek_area
from harness.attest.reasons import Reason
from harness.json_types import Json

VERSIONS = {"program": "played", "python": "played", "kernel": "played", "path": "played"}
_EK_PLACE = "0x01c00002"
_HANDLE = 0x81010001
_NS_PER_MS = 1_000_000
_EVENTS = 40
_FILES = 20
_PCRS = range(24)
_KINDS: Mapping[str, KeyType] = {"ecc-p256": "ecc-p256", "rsa-2048": "rsa-2048"}


class PlayedAttester:
    """A machine that booted and measured some files, and its TPM; a reset of it is not played.

    Args:
        hostname: The machine's own name for itself.
        authority: Certifies its endorsement key.
    """

    def __init__(self, hostname: str, authority: PlayedAuthority) -> None:
        self._hostname = hostname
        self._ek = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = authority.certify(self._ek.public_key())
        self._tpms: dict[KeyType, SoftwareTpm] = {}
        first = SoftwareTpm("ecc-p256", ek=self._ek)
        lines = logs.running_system(_FILES)
        self._platform = booted(Platform(tpm=first, events=(), lines=lines), logs.boot(_EVENTS))

    def ready(self) -> str:
        """What the program says when it starts."""
        return json.dumps({"ready": VERSIONS})

    def measure(self, path: str) -> None:
        """The machine runs a file that its reference values do not know."""
        line = logs.Line(path=path.encode(), content=path.encode(), template="ima-sig")
        self._platform = self._platform.measured(line)

    def answer(self, line: str, received_ns: int, now_ns: int) -> str:
        """The answer to a request that was read at `received_ns`, both of the machine's monotonic clock."""
        request = json.loads(line)
        operation = {
            "identify": self._identify,
            "create_key": self._create_key,
            "activate": self._activate,
            "properties": self._properties,
        }.get(str(request.get("op")))
        if operation is not None:
            done = operation(request)
        elif request.get("op") == "quote":
            done = self._quote(request, received_ns, now_ns)
        else:
            done = _refused(Reason.ATTESTER_FAILED, "a played attester does not know this request")
        return json.dumps({"id": request.get("id"), **done})

    # -- operations

    def _identify(self, _request: Mapping[str, Json]) -> dict[str, Json]:
        said = Identity(
            tpm_manufacturer="IBM",
            tpm_vendor="played",
            tpm_spec="2.0",
            tpm_firmware=FIRMWARE,
            tpm_properties={},
            software=True,
            banks=("sha256",),
            ek_certificates={_EK_PLACE: self._certificate},
            ek_chain=(),
            ek_public={"rsa-2048": ek_area(self._ek)},
            preferred_ek="rsa-2048",
            hostname=self._hostname,
            kernel="played",
            versions=VERSIONS,
        )
        return {"ok": said.model_dump(mode="json")}

    def _create_key(self, request: Mapping[str, Json]) -> dict[str, Json]:
        kind = _KINDS[str(request["key"])]
        tpm = self._tpms[kind] = SoftwareTpm(kind, ek=self._ek)
        return {
            "ok": {
                "key": kind,
                "ek": "rsa-2048",
                "public": _base64(tpm.ak_public),
                "name": _base64(tpm.name),
                "qualified_name": _base64(tpm.qualified_name),
                "handle": _HANDLE,
                "spent_ns": {"ek": 0, "create": 0, "load": 0, "persist": 0},
            }
        }

    def _activate(self, request: Mapping[str, Json]) -> dict[str, Json]:
        tpm = self._tpms.get(_KINDS[str(request["key"])])
        credential, secret = _bytes(request["credential"]), _bytes(request["secret"])
        opened = None if tpm is None else tpm.activate(credential, secret)
        if opened is None:
            return _refused(Reason.CREDENTIAL, "the TPM does not open this credential")
        return {"ok": {"secret": _base64(opened)}}

    def _properties(self, _request: Mapping[str, Json]) -> dict[str, Json]:
        reasons: dict[str, Json] = {"memory_violations": "this architecture does not count them"}
        return {
            "ok": {
                "architecture": "tpm",
                "simulated": False,
                "memory_violations": None,
                "reasons": reasons,
                "boot_id": f"played-{self._hostname}",
            }
        }

    def _quote(self, request: Mapping[str, Json], received_ns: int, now_ns: int) -> dict[str, Json]:
        tpm = self._tpms.get(_KINDS[str(request["key"])])
        if tpm is None:
            return _refused(Reason.NOT_ENROLLED, "there is no such key")
        if request.get("bank") != "sha256":
            return _refused(Reason.ATTESTER_FAILED, "a played TPM has the bank sha256 alone")
        values = dict.fromkeys(_PCRS, bytes(32)) | self._platform.pcrs
        asked = request["pcrs"]
        wanted = asked if isinstance(asked, list) else []
        first = request.get("ima_from")
        lines = self._platform.lines
        said = tpm.evidence(
            _bytes(request["nonce"]),
            {pcr: values[pcr] for pcr in wanted if isinstance(pcr, int)},
            clock=replace(CLOCK, clock_ms=CLOCK.clock_ms + now_ns // _NS_PER_MS),
            event_log=logs.event_log(self._platform.events) if request.get("event_log") is True else None,
            ima=logs.excerpt(lines[first:], first=first) if isinstance(first, int) else None,
            moments=Moments(
                received_ns=received_ns, quoting_ns=received_ns, quoted_ns=now_ns, answered_ns=now_ns
            ),
            versions=VERSIONS,
        )
        return {"ok": said.to_json()}


def _refused(reason: Reason, why: str) -> dict[str, Json]:
    return {"error": {"reason": reason.value, "why": why}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: Json) -> bytes:
    return base64.b64decode(str(text))
