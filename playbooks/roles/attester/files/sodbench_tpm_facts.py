"""Reads a TPM 2.0: its properties, certificates, objects and PCRs, and what its codes mean.

The caller opens the TPM. Nothing here loads an object, starts a session, writes or keeps state.

Sources: TPM 2.0 Library, Part 2 (structures, codes) and Part 3 (commands); TCG EK Credential Profile 2.5
(places in NV, templates L-1, L-2, H-3 and H-6); TCG TPM v2.0 Provisioning Guidance (persistent handles).
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from dataclasses import dataclass

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_CAP,
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_ID_OBJECT,
    TPML_PCR_SELECTION,
    TSS2_Exception,
)

# NV indices. A TPM may have certificates of larger keys in addition to those of 2048 bits and P-256.
_CERTIFICATES = (0x01C00002, 0x01C0000A, *range(0x01C00012, 0x01C00020, 2))
_CHAIN = range(0x01C00100, 0x01C00200)
_NV_INDICES = range(0x01000000, 0x02000000)
_NV_CHUNK_BYTES = 512
_PERSISTENT = range(0x81000000, 0x82000000)

_BANKS = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
_FIXED_PROPERTIES = range(0x100, 0x140)
_REVISION, _MANUFACTURER, _VENDOR, _FIRMWARE = 0x102, 0x105, range(0x106, 0x10A), (0x10B, 0x10C)

# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign; no policy; nothing symmetric.
_ATTESTATION = "000b 00050072 0000 0010"
# fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt; PolicySecret(endorsement);
# AES-128-CFB.
_ENDORSING = (
    "000b 000300b2 0020 837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa 0006 0080 0043"
)
# Of high range: also userWithAuth; PolicySecret(endorsement) or what an NV index authorises; AES-256-CFB.
_ENDORSING_HIGH = (
    "000c 000300f2 0030 b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba0969964615"
    "0f9fc000f3f80e12 0006 0100 0043"
)
_USER_WITH_AUTH = 0x40

ATTESTATION_FORMS = {
    "ecc-p256": bytes.fromhex(f"0023 {_ATTESTATION} 0018 000b 0003 0010"),
    "rsa-2048": bytes.fromhex(f"0001 {_ATTESTATION} 0014 000b 0800 00000000"),
}
"""The public area of an attestation key up to its field ``unique``: ECDSA and RSASSA, both with SHA-256."""


@dataclass(frozen=True)
class Endorsement:
    """An endorsement key: its places, its public area up to ``unique``, and that field's sizes.

    A key of high range has no nonce, and exists only where it has a certificate: making one takes long.
    """

    persistent: int
    certificate: int
    nonce: int | None
    template: int
    form: bytes
    unique: tuple[int, ...]

    @property
    def takes_password(self) -> bool:
        """Whether it is used with its own password, which is empty, and not by its policy."""
        return bool(int.from_bytes(self.form[4:8], "big") & _USER_WITH_AUTH)


ENDORSEMENTS = {
    "rsa-2048": Endorsement(
        0x81010001,
        0x01C00002,
        0x01C00003,
        0x01C00004,
        bytes.fromhex(f"0001 {_ENDORSING} 0010 0800 00000000"),
        (256,),
    ),
    "ecc-p256": Endorsement(
        0x81010016,
        0x01C0000A,
        0x01C0000B,
        0x01C0000C,
        bytes.fromhex(f"0023 {_ENDORSING} 0010 0003 0010"),
        (32, 32),
    ),
    "ecc-p384": Endorsement(
        0x81010016,
        0x01C00016,
        None,
        0x01C00017,
        bytes.fromhex(f"0023 {_ENDORSING_HIGH} 0010 0004 0010"),
        (0, 0),
    ),
    "rsa-3072": Endorsement(
        0x8101001C,
        0x01C0001C,
        None,
        0x01C0001D,
        bytes.fromhex(f"0001 {_ENDORSING_HIGH} 0010 0c00 00000000"),
        (0,),
    ),
}

_ENDORSEMENT_HIERARCHY = 0x4000000B

# Response codes by their meaning for the caller (Part 2, 6.6.3); the kernel's resource manager uses them too.
_BUSY = {0x908, 0x909, 0x90A, 0x920, 0x921, 0x922, 0x923}
_MEMORY = {0x14B, 0x901, 0x902, 0x903, 0x904, 0x905, 0x906}
_NO_SUCH_HANDLE = {0x08B, 0x910}
_BAD_CREDENTIAL = {0x084, 0x095, 0x09F}
_TCTI_LAYER = 0x000A0000


class TpmError(Exception):
    """The TPM did not do what was asked; `reason` is one of the project's codes."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


@dataclass(frozen=True)
class Kept:
    """An object that the TPM keeps at a persistent handle: TPMT_PUBLIC and its names."""

    handle: ESYS_TR
    public: bytes
    name: bytes
    qualified_name: bytes


# -- failures


def _code(error: TSS2_Exception) -> int:
    """A response code without the number of the handle, parameter or session that it names (Part 2, 6.6)."""
    code = int(error.rc) & 0xFFFF
    return code & 0x0BF if code & 0x080 else code


def reason_of(error: TSS2_Exception) -> str:
    """The project's code for a failure of the TPM or of the way to it."""
    if int(error.rc) & 0x00FF0000 == _TCTI_LAYER:
        return "tpm-gone"
    if _code(error) in _BUSY:
        return "tpm-busy"
    return "tpm-memory" if _code(error) in _MEMORY else "attester-failed"


def stays_open(tcti: str) -> bool:
    """Whether other clients can use a TPM that is left open.

    The TCTI of a software TPM connects again for each command, and the kernel's resource manager gives each
    client a TPM of its own. Every other TCTI serves one client at a time.
    """
    name, _, options = tcti.partition(":")
    return name == "swtpm" or (name == "device" and options.startswith("/dev/tpmrm"))


def is_missing(error: TSS2_Exception) -> bool:
    """Whether a handle referred to nothing."""
    return _code(error) in _NO_SUCH_HANDLE


def is_bad_credential(error: TSS2_Exception) -> bool:
    """Whether a credential cannot be opened with the keys that were given."""
    return _code(error) in _BAD_CREDENTIAL


def swtpm_socket(tcti: str) -> str | None:
    """The socket of a software TPM reached over one; None for any other TCTI."""
    name, _, options = tcti.partition(":")
    found = [option[5:] for option in options.split(",") if option.startswith("path=")]
    return found[0] if name == "swtpm" and found else None


def why_closed(tcti: str) -> tuple[str, str]:
    """Why a TPM cannot be opened, which the TCTI's own code does not say: a reason and a text."""
    path = swtpm_socket(tcti)
    device = tcti.partition(":")[2] if tcti.startswith("device:") else None
    try:
        if path is not None:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(0.2)
                probe.connect(path)
        elif device:
            os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        reasons = {errno.EBUSY: "tpm-busy", errno.EAGAIN: "tpm-busy", errno.EACCES: "attester-failed"}
        return reasons.get(error.errno or 0, "tpm-gone"), f"{path or device}: {error.strerror or error}"
    return "tpm-gone", "it does not answer as a TPM does"


# -- properties


def properties(esys: ESAPI) -> dict[int, int]:
    """The fixed properties by their number (Part 2, 6.13)."""
    found: dict[int, int] = {}
    first = _FIXED_PROPERTIES.start
    more = True
    while more and first in _FIXED_PROPERTIES:
        more, answer = esys.get_capability(TPM2_CAP.TPM_PROPERTIES, first, len(_FIXED_PROPERTIES))
        some = {int(one.property): int(one.value) for one in answer.data.tpmProperties}
        found |= {number: value for number, value in some.items() if number in _FIXED_PROPERTIES}
        first = max(some, default=_FIXED_PROPERTIES.stop) + 1
    return found


def describe(known: dict[int, int]) -> dict[str, object]:
    """Maker, vendor, specification and firmware by the fixed properties, and whether it is a software TPM."""
    manufacturer = _words(known.get(_MANUFACTURER, 0))
    vendor = _words(*(known.get(number, 0) for number in _VENDOR))
    revision = known.get(_REVISION, 0)
    # libtpms and the reference simulator name themselves so; a virtual TPM of a cloud has its own maker.
    software = (manufacturer == "IBM" and vendor.split() == ["SW", "TPM"]) or vendor.startswith("xCG fTPM")
    high, low = (known.get(number, 0) for number in _FIRMWARE)
    return {
        "tpm_manufacturer": manufacturer,
        "tpm_vendor": vendor,
        "tpm_spec": f"{_words(known.get(0x100, 0))} revision {revision // 100}.{revision % 100:02d}",
        "tpm_firmware": high << 32 | low,
        "tpm_properties": {f"0x{number:03x}": value for number, value in sorted(known.items())},
        "software": software,
    }


def _words(*values: int) -> str:
    text = b"".join(struct.pack(">I", value) for value in values)
    return text.replace(b"\0", b"").decode("ascii", "replace").strip()


def banks(esys: ESAPI) -> list[str]:
    """The PCR banks that have PCRs allocated."""
    _, answer = esys.get_capability(TPM2_CAP.PCRS, 0, 16)
    return [
        _BANKS.get(int(bank.hash), f"0x{int(bank.hash):04x}")
        for bank in answer.data.assignedPCR
        if any(bank.pcrSelect[place] for place in range(bank.sizeofSelect))
    ]


def handles(esys: ESAPI, wanted: range) -> set[int]:
    """The handles that are defined in a range."""
    found: set[int] = set()
    first, more = wanted.start, True
    while more and first in wanted:
        more, answer = esys.get_capability(TPM2_CAP.HANDLES, first, 254)
        some = {int(handle) for handle in answer.data.handles}
        found |= {handle for handle in some if handle in wanted}
        first = max(some, default=wanted.stop) + 1
    return found


# -- objects and NV


def certificates(esys: ESAPI) -> tuple[dict[str, bytes], list[bytes]]:
    """The endorsement keys' certificates by their place in NV, and the chain that the TPM may also keep."""
    there = handles(esys, _NV_INDICES)
    own = {f"0x{index:08x}": _one_value(read_nv(esys, index)) for index in _CERTIFICATES if index in there}
    return own, [read_nv(esys, index) for index in _CHAIN if index in there]


def endorsements(esys: ESAPI) -> dict[str, Endorsement]:
    """The endorsement keys of this TPM: all of low range, and those of high range with a certificate.

    One of RSA-3072 takes a hardware TPM a minute or more to make. It counts only where the TPM keeps it, or
    where no key of RSA-2048 has a certificate.
    """
    there, persistent = handles(esys, _NV_INDICES), handles(esys, _PERSISTENT)
    certified = {kind: place for kind, place in ENDORSEMENTS.items() if place.certificate in there}
    low = {kind: place for kind, place in ENDORSEMENTS.items() if place.nonce is not None}
    slow = "rsa-2048" in certified and ENDORSEMENTS["rsa-3072"].persistent not in persistent
    return low | {kind: place for kind, place in certified.items() if not (slow and kind == "rsa-3072")}


def preferred(esys: ESAPI) -> str:
    """The kind of the first endorsement key that has a certificate; RSA-2048 where none has."""
    there = handles(esys, _NV_INDICES)
    certified = [kind for kind, place in ENDORSEMENTS.items() if place.certificate in there]
    return certified[0] if certified else "rsa-2048"


def read_nv(esys: ESAPI, index: int) -> bytes:
    """The whole content of an NV index.

    Raises:
        TSS2_Exception: The index does not exist or may not be read.
    """
    handle = esys.tr_from_tpmpublic(index)
    public, _ = esys.nv_read_public(handle)
    size, data = int(public.nvPublic.dataSize), b""
    while len(data) < size:
        data += bytes(esys.nv_read(handle, min(_NV_CHUNK_BYTES, size - len(data)), len(data)))
    return data


def _one_value(data: bytes) -> bytes:
    """The DER value at the start of `data`: some makers pad the rest of the NV index."""
    if len(data) < 4 or data[:2] != b"\x30\x82":
        return data
    return data[: 4 + int.from_bytes(data[2:4], "big")]


def kept(esys: ESAPI, handle: int) -> Kept | None:
    """The object at a persistent handle; None if the handle is free."""
    try:
        found = esys.tr_from_tpmpublic(handle)
    except TSS2_Exception as error:
        if is_missing(error):
            return None
        raise
    public, name, qualified = esys.read_public(found)
    return Kept(found, public.publicArea.marshal(), bytes(name), bytes(qualified))


def endorsement_template(esys: ESAPI, place: Endorsement) -> bytes:
    """The TPMT_PUBLIC that an endorsement key is made from: the maker's, else the common one."""
    there = handles(esys, _NV_INDICES)
    if place.template in there:
        return read_nv(esys, place.template)
    nonce = read_nv(esys, place.nonce) if place.nonce in there else b""
    parts = [nonce, *[b""] * (len(place.unique) - 1)]
    return place.form + b"".join(
        struct.pack(">H", size) + part[:size].ljust(size, b"\0")
        for part, size in zip(parts, place.unique, strict=True)
    )


def is_child(child: Kept, parent: bytes) -> bool:
    """Whether the endorsement key with that public area is an object's parent, by its qualified name."""
    alg = parent[2:4]
    name = _named(alg, parent)
    above = _named(alg, struct.pack(">I", _ENDORSEMENT_HIERARCHY) + name)
    return child.qualified_name == _named(child.name[:2], above + child.name)


def _named(alg: bytes, content: bytes) -> bytes:
    """A name by the hash with that number (Part 1, 16)."""
    return alg + hashlib.new(_BANKS[int.from_bytes(alg, "big")], content).digest()


# -- PCRs


def selected(selections: TPML_PCR_SELECTION) -> list[int]:
    """The PCRs of the selections, in order; a caller asks for one bank at a time."""
    return [
        pcr
        for bank in selections
        for pcr in range(8 * int(bank.sizeofSelect))
        if bank.pcrSelect[pcr // 8] >> pcr % 8 & 1
    ]


def credential_parts(credential: bytes, secret: bytes) -> tuple[TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET]:
    """A credential's two structures; bytes after the end of either are an error."""
    try:
        blob, used = TPM2B_ID_OBJECT.unmarshal(credential)
        sealed, used_too = TPM2B_ENCRYPTED_SECRET.unmarshal(secret)
    except TSS2_Exception as error:
        raise TpmError("credential", f"no such structure: {error}") from error
    if (used, used_too) != (len(credential), len(secret)):
        raise TpmError("credential", "bytes after the end of a structure")
    return blob, sealed
