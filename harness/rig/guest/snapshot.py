"""A booted guest, saved once and restored for each trial that asks for it.

Trials from one saved state begin with identical memory: less variance, and no boot to wait for; but they do
not carry the boot's variance, so a run records that it did this, and the default is a fresh boot.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from pathlib import PurePosixPath

from harness.errors import GuestError
from harness.rig.contract import Hypervisor, HypervisorError, Machine
from harness.rig.guest import digest, vtpm
from harness.rig.guest.digest import Kept
from harness.rig.guest.domain import GuestSpec

_FIXED_UUID = "5d0be4c0-0000-4000-8000-000000000001"
"""A saved domain keeps its UUID, so that of a restorable guest is always this one."""


_CONSOLE = "console.log"
_DISK = "disk.qcow2"


def to_be_saved(spec: GuestSpec) -> GuestSpec:
    """The guest that is booted in order to be saved."""
    return replace(spec, uuid=_FIXED_UUID)


def place(spec: GuestSpec, storage_path: str, hypervisor_version: int) -> str:
    """The folder on the shared storage that holds the saved state of a guest like `spec`.

    Another version of the hypervisor makes a state of its own, and so does another controller, known by its
    key of guests' TPMs: it believes only a state that it saved itself.
    """
    parts = (spec.image, spec.memory_mib, spec.vcpus, spec.accelerator, spec.cmdline, spec.bridge)
    own = (vtpm.fingerprint(spec.vtpm_key), spec.encrypted) if spec.vtpm_key else ()
    inputs = "|".join(map(str, (hypervisor_version, *parts, *own)))
    return f"{storage_path}/snapshots/{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"


def exists(host: Machine, folder: str, kept: Kept | None = None) -> bool:
    """Whether a whole saved state is in `folder` that this controller saved, where it keeps digests.

    Raises:
        RecordError: The file with the digests is damaged.
    """
    if kept is not None and not kept.of(_name(folder)):
        return False
    status, _, _ = host.attempt(f"test -f {shlex.quote(folder)}/state")
    return status == 0


def _name(folder: str) -> str:
    return PurePosixPath(folder).name


def _files(spec: GuestSpec) -> list[str]:
    return ["state", _CONSOLE, *([_DISK] if spec.kind.has_disk else [])]


def save(
    connection: Hypervisor, host: Machine, spec: GuestSpec, folder: str, kept: Kept | None = None
) -> None:
    """Save the running guest into `folder`, whole or not at all; the guest is gone from the host afterwards.

    Raises:
        GuestError: libvirt or the storage refuses.
        StorageError: Its digests cannot be kept.
    """
    partial = shlex.quote(f"{folder}.partial")
    host.run(f"rm -rf {partial} && mkdir -p {partial}")
    try:
        connection.domain(spec.guest.domain).save(f"{folder}.partial/state")
    except HypervisorError as error:
        raise GuestError("the guest cannot be saved", where=f"host {host.role}", why=str(error)) from error
    disk = f"cp --sparse=always {shlex.quote(spec.disk)} {partial}/{_DISK} && " if spec.kind.has_disk else ""
    # The host key that the guest told on its console stays its own when it is restored.
    host.run(
        f"{disk}cp {shlex.quote(spec.console)} {partial}/{_CONSOLE} && "
        f"sync {partial}/* && rm -rf {shlex.quote(folder)}",
        limit="copy_s",
    )
    if kept is not None:
        found = digest.taken(host, f"{folder}.partial", _files(spec), what="saved guest")
        kept.keep(_name(folder), found)
    host.run(f"mv {partial} {shlex.quote(folder)}")


def restore(
    connection: Hypervisor, host: Machine, spec: GuestSpec, folder: str, kept: Kept | None = None
) -> None:
    """Bring the saved guest to life on `host`, on a copy of its disk; the saved state stays as it is.

    Raises:
        GuestError: The image is not the one that was built, or the saved guest not the one that was saved;
            or libvirt or the storage refuses.
        RecordError: The file with the digests is damaged.
    """
    digest.require(host, spec.image, spec.digests, spec.image_files)
    _require_saved(host, spec, folder, kept)
    copy = f" && cp --sparse=always {shlex.quote(folder)}/{_DISK} {shlex.quote(spec.disk)}"
    console = f"cp {shlex.quote(folder)}/{_CONSOLE} {shlex.quote(spec.console)}"
    host.run(
        f"mkdir -p {shlex.quote(spec.folder)} && {console}{copy if spec.kind.has_disk else ''}",
        limit="copy_s",
    )
    try:
        if spec.encrypted:
            vtpm.set_for(connection, spec.guest.domain, spec.uuid, spec.vtpm_key)
        connection.restore(f"{folder}/state")
    except HypervisorError as error:
        raise GuestError(
            "the saved guest cannot be restored",
            where=f"host {host.role}, {folder}",
            why=str(error),
            remedy=f"remove {folder}; the next run makes a new one",
        ) from error


def _require_saved(host: Machine, spec: GuestSpec, folder: str, kept: Kept | None) -> None:
    """See that the saved guest is what this controller saved; without `kept` digests, ask nothing.

    Raises:
        GuestError: It is not.
    """
    if kept is None:
        return
    known = kept.of(_name(folder))
    if changed := digest.differing(host, folder, known, _files(spec), what="saved guest"):
        raise GuestError(
            "the saved guest is not the one that was saved",
            where=f"host {host.role}, {folder}: {', '.join(changed)}",
            why="the SHA-256 differs from the one that this controller keeps; no guest was started",
            remedy=f"find out who writes to the storage, then remove {folder}; the next run makes a new one",
        )
