"""Uses this machine's TPM 2.0: attestation keys, credentials, quotes and the PCR values that belong to them.

The TPM is opened for each request and closed after it. Between quotes it stays open where other clients can
still use it, because opening takes half as long as a quote. Every object and session is flushed on every
path. Nothing here decides whether a value is good, and a key signs nothing but quotes.

Sources: TPM 2.0 Library, Part 3; TCG EK Credential Profile 2.5.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sodbench_tpm_facts import (
    ATTESTATION_FORMS,
    ENDORSEMENTS,
    Kept,
    TpmError,
    banks,
    certificates,
    credential_parts,
    describe,
    endorsement_template,
    endorsements,
    is_bad_credential,
    is_child,
    is_missing,
    kept,
    preferred,
    properties,
    reason_of,
    selected,
    stays_open,
    why_closed,
)
from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_SE,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPML_PCR_SELECTION,
    TPMT_PUBLIC,
    TPMT_SYM_DEF,
    TCTILdr,
    TSS2_Exception,
)

ATTESTATION_HANDLES = {"ecc-p256": 0x81010100, "rsa-2048": 0x81010101}
"""The attestation keys' handles, in the owner's range of persistent handles."""

_FINDING = "finding the attestation key"
_SELECTIONS = 64
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Settings:
    """How the TPM is reached: a TCTI, and the hierarchies' passwords where they have any."""

    tcti: str
    owner_auth: bytes = b""
    endorsement_auth: bytes = b""


@dataclass(frozen=True)
class Quote:
    """A quote and the values that its digest is over; times in ns of CLOCK_MONOTONIC."""

    attest: bytes
    signature: bytes
    pcrs: dict[int, bytes]
    quoting_ns: int
    quoted_ns: int
    retries: int


class Stopwatch:
    """Laps in ns of CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._since = time.monotonic_ns()

    def lap(self, name: str) -> None:
        """End the running lap under `name`; the next one begins."""
        now = time.monotonic_ns()
        self.laps[name] = now - self._since
        self._since = now


class Tpm:
    """The TPM behind a TCTI. One thread uses it at a time; `stage` says what that thread is waiting for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Kept here from one opening to the next; none of it takes room in the TPM.
        self._selections: dict[tuple[str, tuple[int, ...]], TPML_PCR_SELECTION] = {}
        self._last: tuple[str, tuple[int, ...], bytes] | None = None
        self._values_of_last: dict[int, bytes] = {}
        self._standing: tuple[contextlib.ExitStack, ESAPI] | None = None
        self.stage = ""
        # Held, so that opening the TPM does not load the library each time, which is a third of its time.
        with contextlib.suppress(OSError):  # opening will say what is missing
            self._library = ctypes.CDLL(f"libtss2-tcti-{settings.tcti.partition(':')[0]}.so.0")

    @contextlib.contextmanager
    def _opened(self, what: str) -> Iterator[ESAPI]:
        """The TPM, open while the block runs; every failure of the TPM is raised as a TpmError."""
        with self._told():
            self._close_standing()
            with contextlib.ExitStack() as stack:
                esys = self._open(stack)
                self.stage = what
                yield esys

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except TSS2_Exception as error:
            raise TpmError(reason_of(error), f"{self.stage}: {error} (0x{int(error.rc):x})") from error
        finally:
            self.stage = ""

    def _open(self, stack: contextlib.ExitStack) -> ESAPI:
        """The TPM, to be closed with `stack`."""
        self.stage, tcti = "opening the TPM", self._settings.tcti
        name, _, options = tcti.partition(":")
        try:
            esys = stack.enter_context(ESAPI(stack.enter_context(TCTILdr(name, options))))
        except TSS2_Exception as error:
            reason, why = why_closed(tcti)
            raise TpmError(reason, f"cannot open {tcti}: {why} ({error})") from error
        auths = {
            ESYS_TR.OWNER: self._settings.owner_auth,
            ESYS_TR.ENDORSEMENT: self._settings.endorsement_auth,
        }
        for hierarchy, auth in auths.items():
            if auth:
                esys.tr_set_auth(hierarchy, auth)
        return esys

    @contextlib.contextmanager
    def _at_key(self, key: str) -> Iterator[tuple[ESAPI, ESYS_TR]]:
        """The TPM and the key to sign with; the TPM stays open for the next time unless anything fails.

        The key is looked up each time. A software TPM that serves another client answers that late, so the
        wait is not part of the quote's time.
        """
        with self._told():
            stack, esys, handle = self._reused(key) or self._fresh(key)
            with stack:
                yield esys, handle
                esys.tr_close(handle)  # the next time it may be another key's
                if stays_open(self._settings.tcti):
                    self._standing = stack.pop_all(), esys

    def _reused(self, key: str) -> tuple[contextlib.ExitStack, ESAPI, ESYS_TR] | None:
        """The TPM that was left open, and the key; None if none was, or if it does not find the key."""
        if self._standing is None:
            return None
        (stack, esys), self._standing = self._standing, None
        self.stage = _FINDING
        try:
            return stack, esys, esys.tr_from_tpmpublic(ATTESTATION_HANDLES[key])
        except TSS2_Exception:  # opening it again will say why
            stack.close()
            return None

    def _fresh(self, key: str) -> tuple[contextlib.ExitStack, ESAPI, ESYS_TR]:
        with contextlib.ExitStack() as stack:
            esys = self._open(stack)
            self.stage = _FINDING
            try:
                handle = esys.tr_from_tpmpublic(ATTESTATION_HANDLES[key])
            except TSS2_Exception as error:
                if is_missing(error):
                    raise TpmError("not-enrolled", f"there is no {key} attestation key") from error
                raise
            return stack.pop_all(), esys, handle

    def _close_standing(self) -> None:
        if self._standing is not None:
            self._standing[0].close()
            self._standing = None

    @contextlib.contextmanager
    def _flushed(self, esys: ESAPI, handle: ESYS_TR) -> Iterator[ESYS_TR]:
        """`handle`, flushed from the TPM when the block ends, however it ends."""
        try:
            yield handle
        except BaseException:
            with contextlib.suppress(TSS2_Exception):  # the first failure is the one to report
                esys.flush_context(handle)
            raise
        esys.flush_context(handle)

    # -- who it is

    def identify(self) -> dict[str, object]:
        """Manufacturer, versions, banks, EK certificates and EK public areas."""
        with self._opened("reading the TPM's properties") as esys:
            known = describe(properties(esys))
            self.stage = "reading certificates"
            own, chain = certificates(esys)
            publics = {}
            for kind in endorsements(esys):
                with self._endorsement(esys, kind) as (_, public):
                    publics[kind] = public
            return {
                **known,
                "banks": banks(esys),
                "ek_certificates": own,
                "ek_chain": chain,
                "ek_public": publics,
                "preferred_ek": preferred(esys),
            }

    def versions(self) -> dict[str, str]:
        """The TPM's maker and firmware in words."""
        with self._opened("reading the TPM's properties") as esys:
            known = describe(properties(esys))
        return {
            "tpm": f"{known['tpm_manufacturer']} {known['tpm_vendor']}".strip(),
            "tpm_firmware": f"{known['tpm_firmware']:016x}",
        }

    # -- keys

    @contextlib.contextmanager
    def _endorsement(self, esys: ESAPI, kind: str) -> Iterator[tuple[ESYS_TR, bytes]]:
        """The endorsement key and its public area: the persistent one, or one made from its template."""
        place = ENDORSEMENTS[kind]
        self.stage = f"finding the {kind} endorsement key"
        there = kept(esys, place.persistent)
        if there is not None and there.public.startswith(place.form):
            yield there.handle, there.public
            return
        self.stage = f"making the {kind} endorsement key from its template"
        template, _ = TPMT_PUBLIC.unmarshal(endorsement_template(esys, place))
        handle, public, *_ = esys.create_primary(
            TPM2B_SENSITIVE_CREATE(), TPM2B_PUBLIC(publicArea=template), ESYS_TR.ENDORSEMENT
        )
        with self._flushed(esys, handle):
            yield handle, public.publicArea.marshal()

    @contextlib.contextmanager
    def _authorised(self, esys: ESAPI, ek: str) -> Iterator[ESYS_TR]:
        """What authorises one command with an endorsement key: its policy, or its empty password."""
        if ENDORSEMENTS[ek].takes_password:
            yield ESYS_TR.PASSWORD
            return
        session = esys.start_auth_session(
            tpm_key=ESYS_TR.NONE,
            bind=ESYS_TR.NONE,
            session_type=TPM2_SE.POLICY,
            symmetric=TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL),
            auth_hash=TPM2_ALG.SHA256,
        )
        with self._flushed(esys, session):
            esys.policy_secret(ESYS_TR.ENDORSEMENT, session, b"", b"", b"", 0)
            yield session

    def create_key(self, key: str, ek: str | None) -> dict[str, object]:
        """Make an attestation key under an endorsement key and keep it at its persistent handle.

        A key that is already there is replaced if this program made it, and only once the new one is ready.
        """
        handle, spent = ATTESTATION_HANDLES[key], Stopwatch()
        with self._opened("looking for the attestation key") as esys:
            ek = ek or preferred(esys)
            old = kept(esys, handle)
            if old is not None and not self._is_ours(esys, key, old):
                raise TpmError("attester-failed", f"another program's object is at handle 0x{handle:08x}")
            with self._endorsement(esys, ek) as (parent, _):
                spent.lap("ek")
                with self._made(esys, key, ek, parent, spent) as made:
                    self.stage = f"keeping the {key} attestation key"
                    if old is not None:
                        esys.evict_control(ESYS_TR.OWNER, old.handle, handle)
                    esys.evict_control(ESYS_TR.OWNER, made, handle)
                spent.lap("persist")
            new = kept(esys, handle)
        if new is None:
            raise TpmError("attester-failed", "the TPM did not keep the key that it accepted")
        names = {"public": new.public, "name": new.name, "qualified_name": new.qualified_name}
        return {"key": key, "ek": ek, **names, "handle": handle, "spent_ns": spent.laps}

    @contextlib.contextmanager
    def _made(self, esys: ESAPI, key: str, ek: str, parent: ESYS_TR, spent: Stopwatch) -> Iterator[ESYS_TR]:
        """A new attestation key under the endorsement key `ek`, loaded."""
        self.stage = f"making the {key} attestation key"
        form = ATTESTATION_FORMS[key] + bytes(2 if key == "rsa-2048" else 4)
        template = TPM2B_PUBLIC(publicArea=TPMT_PUBLIC.unmarshal(form)[0])
        with self._authorised(esys, ek) as session:
            private, public, *_ = esys.create(parent, TPM2B_SENSITIVE_CREATE(), template, session1=session)
        spent.lap("create")
        with self._authorised(esys, ek) as session:
            loaded = esys.load(parent, private, public, session1=session)
        spent.lap("load")
        with self._flushed(esys, loaded):
            yield loaded

    def _is_ours(self, esys: ESAPI, key: str, old: Kept) -> bool:
        """Whether an object has an attestation key's form and an endorsement key of this TPM as parent."""
        if not old.public.startswith(ATTESTATION_FORMS[key]):
            return False
        for kind in endorsements(esys):
            with self._endorsement(esys, kind) as (_, parent):
                if is_child(old, parent):
                    return True
        return False

    def activate(self, key: str, ek: str | None, credential: bytes, secret: bytes) -> bytes:
        """The secret of a credential that was made for this TPM's endorsement key and the name of `key`."""
        blob, sealed = credential_parts(credential, secret)
        with self._opened("activating a credential") as esys:
            ek = ek or preferred(esys)
            attesting = kept(esys, ATTESTATION_HANDLES[key])
            if attesting is None:
                raise TpmError("not-enrolled", f"there is no {key} attestation key")
            with (
                self._endorsement(esys, ek) as (parent, _),
                self._authorised(esys, ek) as session,
            ):
                self.stage = "TPM2_ActivateCredential"
                try:
                    found = esys.activate_credential(
                        attesting.handle, parent, blob, sealed, session1=ESYS_TR.PASSWORD, session2=session
                    )
                except TSS2_Exception as error:
                    if is_bad_credential(error):
                        raise TpmError("credential", f"made for other keys: {error}") from error
                    raise
            return bytes(found)

    # -- quotes

    def quote(self, key: str, nonce: bytes, bank: str, pcrs: tuple[int, ...], tries: int) -> Quote:
        """A quote and PCR values with its digest, taken again, `tries` times at most, while they differ."""
        with self._at_key(key) as (esys, handle):
            for attempt in range(tries):
                self.stage = "TPM2_Quote"
                quoting = time.monotonic_ns()
                attested, signature = esys.quote(handle, self._selection(bank, pcrs), nonce)
                quoted = time.monotonic_ns()
                attest = bytes(attested)
                values = self._values(esys, bank, pcrs, attest)
                if values is not None:
                    return Quote(attest, signature.marshal(), values, quoting, quoted, attempt)
        raise TpmError("tpm-busy", f"the PCRs changed during each of {tries} quotes")

    def _selection(self, bank: str, pcrs: tuple[int, ...]) -> TPML_PCR_SELECTION:
        asked = (bank, pcrs)
        if asked not in self._selections:
            if len(self._selections) >= _SELECTIONS:
                self._selections.clear()
            words = f"{bank}:{','.join(map(str, pcrs))}"
            self._selections[asked] = TPML_PCR_SELECTION.parse(words)
        return self._selections[asked]

    def _values(
        self, esys: ESAPI, bank: str, pcrs: tuple[int, ...], attest: bytes
    ) -> dict[int, bytes] | None:
        """The values that a quote's pcrDigest is over; None if the PCRs have changed since.

        If the digest, which the quote ends with, equals that of the last quote of the same PCRs, their values
        are the same too and are not read again.
        """
        told = (bank, pcrs, attest[-_DIGEST_BYTES:])
        if told == self._last:
            return self._values_of_last
        self.stage = "TPM2_PCR_Read"
        values = self._read(esys, bank, pcrs)
        if hashlib.sha256(b"".join(values[pcr] for pcr in sorted(values))).digest() != told[2]:
            return None
        self._last, self._values_of_last = told, values
        return values

    def _read(self, esys: ESAPI, bank: str, pcrs: tuple[int, ...]) -> dict[int, bytes]:
        """The values of `pcrs`: at most eight at a time; empty for a bank that the TPM does not have."""
        values: dict[int, bytes] = {}
        left = pcrs
        while left:
            _, which, some = esys.pcr_read(self._selection(bank, left))
            found = selected(which)
            if not found:
                break
            values.update(zip(found, map(bytes, some), strict=True))
            left = tuple(pcr for pcr in left if pcr not in values)
        return values
