"""A factory as its owner uses it: made once, then asked for certificates and revocations.

Keys are unlocked for one step and never leave the process. Everything public lies in the folder ``trust``,
which relying parties copy.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from harness import disk, files
from harness.errors import PrerequisiteError, UsageError
from harness.evidence.signature import key_id
from harness.legible import legible
from harness.pvi.factory import authority, keys, ledger, locked_key, renewal, signer, trust
from harness.pvi.factory.authority import Authority, Reason, Revoked, moment
from harness.pvi.factory.ledger import PENDING, STATE, Ledger, State, Step
from harness.pvi.factory.profiles import Asked, Profile
from harness.pvi.factory.whereabouts import Kind, Whereabouts
from harness.pvi.ports import AuditLog

TRUST, ISSUED = "trust", "issued"
ROOT_KEY, ISSUING_KEY = "root.key.json", "issuing.key.json"


def make(
    folder: Path,
    name: str,
    passphrase: str,
    here: Whereabouts,
    audit: AuditLog,
    now_ns: int,
    *,
    tcti: str = "",
) -> State:
    """Make a factory in `folder`, which is not there yet.

    The folder appears whole, with its first step pending; that the audit log is told is part of the step.

    Args:
        folder: Where.
        name: The infrastructure's.
        passphrase: Locks both keys, or is wanted by the TPM that has them.
        here: The machine, which was found to be outside the infrastructure.
        audit: The log.
        now_ns: The wall clock.
        tcti: How the TPM is reached that is to have the keys; empty: they are kept in files.

    Raises:
        PrerequisiteError: The TPM makes no key.
        UsageError: The passphrase is too short, or there is something at `folder`.
        StorageError: The folder cannot be written.
        RegistryError: The audit log cannot be written; the factory is there, and its next use tells the log.
    """
    if len(passphrase) < locked_key.SHORTEST_PASSPHRASE:
        raise UsageError(
            "the passphrase is too short",
            remedy=f"choose one of at least {locked_key.SHORTEST_PASSPHRASE} characters",
        )
    if folder.exists():
        raise UsageError(
            "there is something already", where=legible(str(folder)), remedy="name another --folder"
        )
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(mode=0o700, parents=True)
        first = _write_keys(partial, name, passphrase, here, now_ns, tcti)
        files.write_json(partial / STATE, first.state.model_copy(update={"steps": 0}).model_dump(mode="json"))
        files.write_json(partial / PENDING, first.model_dump(mode="json"))
        partial.rename(folder)
        files.sync_folder(folder.parent)
    except OSError as error:
        raise disk.failure("the factory cannot be made", folder, error) from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(partial)
    with ledger.held(folder, audit) as made:
        return made.state


def _write_keys(folder: Path, name: str, passphrase: str, here: Whereabouts, now_ns: int, tcti: str) -> Step:
    """New authorities with their locked keys in `folder`; the step that publishes them."""
    now, kind = moment(now_ns), here.kind.value
    root_key, root_file = keys.make(tcti, "root", passphrase)
    issuing_key, issuing_file = keys.make(tcti, "issuing", passphrase)
    root = authority.root(name, kind, now, root_key)
    issuing = authority.issuing(name, kind, root, now, issuing_key)
    files.write_atomic(folder / ROOT_KEY, root_file)
    files.write_atomic(folder / ISSUING_KEY, issuing_file)
    state = State(
        name=name,
        root=root.certificate.fingerprint(hashes.SHA256()).hex(),
        kind=here.kind,
        virtualisation=here.virtualisation,
        randomness=here.randomness,
        hardware=here.hardware,
        tcti=tcti,
        steps=1,
        list_number=1,
    )
    root_list = authority.revocation_list(root, (), 1, now, authority.ROOT_LIST_LIFETIME)
    own_list = authority.revocation_list(issuing, (), 1, now, authority.LIST_LIFETIME)
    writes = {
        f"{TRUST}/{trust.ROOT}": _pem(root.certificate),
        f"{TRUST}/{trust.ISSUING}": _pem(issuing.certificate),
        f"{TRUST}/{trust.ROOT_LIST}": _pem(root_list),
        f"{TRUST}/{trust.ISSUING_LIST}": _pem(own_list),
    }
    says = {
        "factory": kind,
        "name": name,
        "virtualisation": here.virtualisation or "not known",
        "randomness": here.randomness,
        "hardware": here.hardware,
        "keys": keys.kept(tcti),
        "root": state.root,
        "issuing": issuing.certificate.fingerprint(hashes.SHA256()).hex(),
    }
    return Step(does="init", says=says, writes=writes, state=state)


@dataclass(frozen=True, kw_only=True)
class Factory:
    """An open factory; use it while its ledger is held.

    Attributes:
        folder: Where it is.
        held: Its ledger.
        here: The machine it is on now, found to be outside the infrastructure.
        passphrase: Tells the passphrase; asked once a step.
        now_ns: The wall clock.
    """

    folder: Path
    held: Ledger
    here: Whereabouts
    passphrase: Callable[[], str]
    now_ns: Callable[[], int]

    @property
    def kind(self) -> Kind:
        """On what the factory is: physical only if it was made on such a machine and is on one now."""
        kinds = (self.held.state.kind, self.here.kind)
        return next((one for one in (Kind.VIRTUAL, Kind.UNKNOWN) if one in kinds), Kind.PHYSICAL)

    def issue(self, asked: Asked) -> x509.Certificate:
        """Certify what is asked for. The certificate is also kept in the folder ``issued``.

        Raises:
            UsageError: It does not fit its profile.
            CertificateRefusedError: The endorsement certificate that it names does not count.
            PrerequisiteError: The key cannot be unlocked.
            RegistryError: The audit log cannot be written; no certificate is given out.
        """
        made, says = self._certified(asked)
        self.take("issue", says, {_issued(made): _pem(made)})
        return made

    def _certified(self, asked: Asked) -> tuple[x509.Certificate, dict[str, str]]:
        """A certificate that is not given out yet, and what the audit log is told of it."""
        now = moment(self.now_ns())
        if asked.endorsement is not None:
            trust.check(asked.endorsement, Profile.VTPM, trust.load(self.folder / TRUST), now=now)
        made = authority.certificate(asked, self._issuing(), self.kind.value, now)
        serial = f"{made.serial_number:x}"
        more = {"place": asked.place, "parent": asked.parent}
        return made, {
            **{key: value for key, value in more.items() if value is not None},
            "factory": self.kind.value,
            "profile": asked.profile.value,
            "holder": asked.name,
            "uuid": asked.uuid or "",
            "serial": serial,
            "until": made.not_valid_after_utc.isoformat(),
            "certificate": made.fingerprint(hashes.SHA256()).hex(),
        }

    def renew(self, old: x509.Certificate, place: str | None) -> x509.Certificate:
        """Certify the identity of a VM again, for the same key and vTPM, at the `place` where it is now.

        Raises:
            UsageError: It is no certificate of a VM, or the factory has not endorsed its vTPM.
            CertificateRefusedError: The vTPM's endorsement does not count any more.
            PrerequisiteError: The key cannot be unlocked.
            RegistryError: The audit log cannot be written; no certificate is given out.
        """
        return self.issue(renewal.asked_again(old, place, self.folder / ISSUED))

    def revoke(self, serial: str, reason: Reason) -> None:
        """Revoke a certificate that this factory issued, and publish a new list.

        Raises:
            UsageError: It issued none of that serial number, or it is revoked already.
            PrerequisiteError: The key cannot be unlocked.
            RegistryError: The audit log cannot be written; the list is published once it can.
        """
        state = self.held.state
        if not (self.folder / ISSUED / f"{serial}.pem").is_file():
            raise UsageError(
                "the factory has issued no such certificate",
                where=legible(serial),
                remedy="name the serial number in hexadecimal, as `sodbench pvi issue` printed it",
            )
        if any(one.serial == serial for one in state.revoked):
            raise UsageError("the certificate is revoked already", where=legible(serial))
        now_ns = self.now_ns()
        one = Revoked(serial=serial, at_s=int(moment(now_ns).timestamp()), reason=reason)
        self._publish("revoke", {"serial": serial, "reason": reason}, (*state.revoked, one))

    def renew_lists(self, *, root: bool) -> None:
        """Publish the issuing authority's list again, and the root's with `root`, before they expire.

        Raises:
            PrerequisiteError: A key cannot be unlocked.
            RegistryError: The audit log cannot be written; the lists are published once it can.
        """
        writes = {}
        if root:
            above = self._authority(trust.ROOT, ROOT_KEY, "root")
            number = self.held.state.list_number + 1
            lasting = authority.ROOT_LIST_LIFETIME
            made = authority.revocation_list(above, (), number, moment(self.now_ns()), lasting)
            writes[f"{TRUST}/{trust.ROOT_LIST}"] = _pem(made)
        self._publish("lists", {"root": "renewed" if root else "as it was"}, self.held.state.revoked, writes)

    def _publish(
        self,
        does: str,
        says: dict[str, str],
        revoked: tuple[Revoked, ...],
        writes: dict[str, str] | None = None,
    ) -> None:
        number = self.held.state.list_number + 1
        now = moment(self.now_ns())
        made = authority.revocation_list(self._issuing(), revoked, number, now, authority.LIST_LIFETIME)
        files_written = {**(writes or {}), f"{TRUST}/{trust.ISSUING_LIST}": _pem(made)}
        said = {**says, "list": str(number), "until": (now + authority.LIST_LIFETIME).isoformat()}
        self.take(does, said, files_written, list_number=number, revoked=revoked)

    def take(self, does: str, says: dict[str, str], writes: dict[str, str], **changed: object) -> None:
        """Take a step: the audit log is told what it `says`, files are written, the state is `changed`.

        Raises:
            RegistryError: The audit log cannot be written; the step is taken once it can.
            StorageError: A file cannot be written.
        """
        state = self.held.state.model_copy(update={**changed, "steps": self.held.state.steps + 1})
        self.held.take(Step(does=does, says=says, writes=writes, state=state))

    def signer(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs what the factory hands out (:mod:`harness.pvi.factory.signer`).

        It is made, certified and published when it is first needed, 30 days before its certificate ends, and
        once that is revoked.

        Raises:
            PrerequisiteError: A key cannot be unlocked.
            RegistryError: The audit log cannot be written; the new key is used once it can.
        """
        if (self.folder / signer.KEY).is_file():
            key = self._unlocked(signer.KEY, signer.ROLE)
            if self._signs_still(key.public_key()):
                return key
        made, kept = keys.make(self.held.state.tcti, signer.ROLE, self.passphrase())
        name = f"{self.held.state.name} signer"
        asked = Asked(profile=Profile.SIGNER, name=name.replace(" ", "-"), key=made.public_key())
        certificate, says = self._certified(asked)
        published = f"{TRUST}/{signer.place(made.public_key())}"
        writes = {
            signer.KEY: kept.decode(),
            published: _pem(certificate),
            _issued(certificate): _pem(certificate),
        }
        self.take("issue", says, writes)
        return made

    def _signs_still(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether the certificate of the signing key is neither revoked nor about to end."""
        found = signer.find(self.folder / TRUST, key_id(key)).certificate
        revoked = {one.serial for one in self.held.state.revoked}
        left = found.not_valid_after_utc - moment(self.now_ns())
        return f"{found.serial_number:x}" not in revoked and left > signer.RENEWED

    def _issuing(self) -> Authority:
        return self._authority(trust.ISSUING, ISSUING_KEY, "issuing")

    def _authority(self, certificate: str, key: str, role: str) -> Authority:
        """One of the authorities with its key unlocked."""
        known = trust.load(self.folder / TRUST)
        found = known.root if certificate == trust.ROOT else known.issuing
        unlocked = self._unlocked(key, role)
        if unlocked.public_key() != found.public_key():
            raise PrerequisiteError(
                "the factory's key is not its certificate's",
                where=legible(str(self.folder / key)),
                remedy="restore the factory's folder from a copy",
            )
        return Authority(found, unlocked)

    def _unlocked(self, key: str, role: str) -> ec.EllipticCurvePrivateKey:
        """The key in the file `key`."""
        place = self.folder / key
        try:
            raw = place.read_bytes()
        except OSError as error:
            raise PrerequisiteError(
                "the factory's key cannot be read",
                where=legible(str(place)),
                why=error.strerror or str(error),
            ) from error
        return keys.unlock(raw, role, self.passphrase(), where=str(place))


def _issued(made: x509.Certificate) -> str:
    """Where the factory keeps a certificate that it issued."""
    return f"{ISSUED}/{made.serial_number:x}.pem"


def _pem(made: x509.Certificate | x509.CertificateRevocationList) -> str:
    return made.public_bytes(Encoding.PEM).decode("ascii")
