"""`sodbench pvi identity`: the life of a VM, as the audit log and the factory's certificates tell it."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from harness.cli.attest.inputs import RegistryUrl, registry
from harness.cli.audit import named_head
from harness.cli.pvi import inputs
from harness.cli.pvi.inputs import Folder, Inventory, PassphraseFile
from harness.cli.terminal import Output, number_of
from harness.clock import NS_PER_S
from harness.errors import InputFileError, UsageError
from harness.legible import legible
from harness.pvi import counter, looking
from harness.pvi import identity as identities
from harness.pvi.counter import Look
from harness.pvi.factory import trust
from harness.pvi.factory.factory import ISSUED, TRUST
from harness.pvi.factory.ledger import ENTRY
from harness.pvi.factory.trust import CertificateRefusedError
from harness.pvi.identity import Life
from harness.registry import places
from harness.registry.audit import export
from harness.registry.audit.chain import AuditEntry
from harness.registry.registry import Registry, look

OF_THE_VM = ("placement", "result", counter.ENTRY)
"""The kinds of entries about a VM that belong to its life; those of the factory are about the factory."""
MOST_CERTIFICATES = 100_000

Vm = Annotated[str, typer.Argument(metavar="VM", help="The VM's name, as its certificates have it.")]

identity = typer.Typer(
    help="The life of a VM: its certificates, where it was, looks at its vTPM, and whether they prove it.",
    no_args_is_help=True,
)


@identity.command()
def show(vm: Vm, folder: Folder = None, registry_url: RegistryUrl = None) -> None:
    """Print a VM's life from the registry, and what in it is not as it has to be.

    Checks the certificates in the factory's folder; `sodbench audit verify` checks the audit log itself.
    Ends with 14 where something is in doubt.
    """
    place = inputs.factory_folder(folder)
    with look(places.registry_url(registry_url)) as store:
        _told(_life(vm, store), place / ISSUED, place / TRUST)


@identity.command()
def verify(
    vm: Vm,
    log: Annotated[
        Path,
        typer.Option(
            "--log", exists=True, dir_okay=False, help="The audit log, from `sodbench audit export`."
        ),
    ],
    certificates: Annotated[
        Path, typer.Option("--certificates", help="The factory's folder `issued`, or a copy.")
    ],
    trusted: Annotated[Path, typer.Option("--trust", help="The factory's folder `trust`, or a copy.")],
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="N:DIGEST", help="A head noted earlier, which must be on the chain."),
    ] = None,
) -> None:
    """Prove a VM's life without a registry: from an exported audit log and the certificates.

    Ends with 19 where the log is not as it was written, and with 14 where something of the life is in doubt.
    """
    found: list[AuditEntry] = []

    def keep(entry: AuditEntry) -> None:
        if entry.kind == ENTRY or (entry.kind in OF_THE_VM and entry.subject == vm):
            found.append(entry)

    with log.open("rb") as opened:
        known = None if head is None else named_head(head)
        end = export.verify(export.bounded(opened, str(log)), known, str(log), keep)
    _told(identities.life(vm, found), certificates, trusted)
    Output().say(f"By the log whose head is {end}.")


@identity.command()
def renew(
    vm: Vm,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    inventory: Inventory = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Certify a VM's identity again, with the host and epoch where the registry has it now.

    To be run after each migration and before the last certificate ends. Key, vTPM and parent stay the same.
    """
    with look(places.registry_url(registry_url)) as store:
        now = store.placement(vm)
        stages = identities.life(vm, store.audit.entries(kind=ENTRY)).stages
    with inputs.opened(folder, registry_url, passphrase_file, inventory) as factory:
        if not stages:
            raise _unknown(vm)
        old = inputs.certificate(factory.folder / ISSUED / f"{stages[-1].serial}.pem").fields
        made = factory.renew(old, None if now is None else f"{now.host} {now.epoch}")
    until = made.not_valid_after_utc.isoformat(" ", "minutes")
    where = "nowhere yet" if now is None else f"on {now.host}, epoch {now.epoch}"
    Output().say(f"{vm} is {where}: serial {made.serial_number:x}, until {until}")


@identity.command("look")
def look_at(
    vm: Vm,
    via: Annotated[
        str,
        typer.Option("--via", help="The command that reaches a shell of the guest, such as `ssh root@vm-1`."),
    ],
    handle: Annotated[
        str, typer.Option("--handle", help="The identity key's persistent handle in the vTPM.")
    ] = "0x81010100",
    tcti: Annotated[
        str, typer.Option("--tcti", help="How the guest reaches its vTPM.")
    ] = "device:/dev/tpmrm0",
    folder: Folder = None,
    registry_url: RegistryUrl = None,
) -> None:
    """Have the guest's vTPM count and certify one look, and hold it against all looks before.

    Ends with 14 where the vTPM's state was put back, where it runs twice, or where something else of the life
    is in doubt. The audit log keeps the look either way.
    """
    place = inputs.factory_folder(folder)
    with registry(registry_url) as store:
        stages = identities.life(vm, store.audit.entries(kind=ENTRY)).stages
        if not stages:
            raise _unknown(vm)
        challenge = secrets.token_bytes(counter.CHALLENGE_BYTES)
        qualifying = counter.qualifying(challenge, stages[-1].uuid)
        attest, signature = looking.ask(shlex.split(via), _handle(handle), tcti, qualifying)
        store.audit.append(counter.ENTRY, vm, counter.body(challenge, attest, signature))
        _told(_life(vm, store), place / ISSUED, place / TRUST)


def _handle(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise UsageError("a handle is a number in hexadecimal", where=legible(text)) from error


def _life(vm: str, store: Registry) -> Life:
    found = [*store.audit.entries(kind=ENTRY)]
    for kind in OF_THE_VM:
        found += store.audit.entries(kind=kind, subject=vm)
    return identities.life(vm, sorted(found, key=lambda one: one.number))


def _unknown(vm: str) -> CertificateRefusedError:
    return CertificateRefusedError(
        "the VM has no identity",
        where=legible(vm),
        remedy="sodbench pvi issue vm-identity, or name the VM as its certificates do",
    )


def _told(life: Life, certificates: Path, trusted: Path) -> None:
    """Print the life; an error where it is in doubt, or there is none."""
    if life.created_ns is None:
        raise _unknown(life.name)
    known = _read(certificates)
    found = identities.doubts(life, known, trust.load(trusted))
    output = Output()
    output.say(f"{life.name}, created {_when(life.created_ns)}, UUID {life.stages[0].uuid}")
    if life.parent:
        output.say(f"A clone of {life.parent}.")
    rows = [(one.issued_ns, one.entry, f"certificate {one.serial}") for one in life.stages]
    ended = [(one.revoked_ns, one) for one in life.stages]
    rows += [
        (at_ns, one.entry, f"certificate {one.serial} revoked") for at_ns, one in ended if at_ns is not None
    ]
    rows += [(one.since_ns, one.entry, f"on {one.host}, epoch {one.epoch}") for one in life.stays]
    output.table(
        ("when (UTC)", "entry", "what"),
        [(_when(at_ns), str(entry), what) for at_ns, entry, what in sorted(rows)],
        right=("entry",),
    )
    last = "never" if life.last_attested_ns is None else f"{_when(life.last_attested_ns)}: {life.last_tier}"
    output.say(f"Migrations: {life.migrations}. Attested {number_of(life.attested, 'time')}, last {last}.")
    _tell_looks(output, identities.looks(life, known)[0])
    for one in found:
        output.say(f"In doubt: entry {one.entry}: {one.says}.")
    if found:
        raise CertificateRefusedError(
            f"the life of {life.name} is in doubt",
            why=f"what is in doubt is listed above: {len(found)}",
            remedy="compare with copies of the certificates; issue the VM a new identity if one was forged",
        )


def _tell_looks(output: Output, seen: Sequence[tuple[int, Look]]) -> None:
    if not seen:
        output.say("Its vTPM's counter was never looked at.")
        return
    newest = seen[-1][1]
    powered_h = newest.clock.clock_ms / 3_600_000
    output.say(
        f"Its vTPM's counter was looked at {number_of(len(seen), 'time')}, and was last {newest.count}; "
        f"it was powered for {powered_h:.1f} h, and reset {newest.clock.reset_count} times."
    )


def _read(folder: Path) -> Mapping[str, x509.Certificate]:
    """The certificates in a folder by their digest."""
    try:
        files: Sequence[Path] = sorted(one for one in folder.iterdir() if one.suffix == ".pem")
    except OSError as error:
        raise InputFileError(
            "the certificates cannot be read", where=legible(str(folder)), why=error.strerror or str(error)
        ) from error
    if len(files) > MOST_CERTIFICATES:
        raise InputFileError("too many certificates", where=legible(str(folder)), why=f"{len(files)} files")
    found = (inputs.certificate(one).fields for one in files)
    return {one.fingerprint(hashes.SHA256()).hex(): one for one in found}


def _when(ns: int) -> str:
    return datetime.fromtimestamp(ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
