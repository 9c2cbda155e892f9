"""A booted guest, saved once and restored for each trial that asks for it.

Trials from one saved state begin with identical memory: less variance, and no boot to wait for; but they do
not carry the boot's variance, so a run records that it did this, and the default is a fresh boot.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace

from harness.errors import GuestError
from harness.rig.contract import Hypervisor, HypervisorError, Machine
from harness.rig.guest import digest, vtpm
from harness.rig.guest.domain import GuestSpec

_FIXED_UUID = "5d0be4c0-0000-4000-8000-000000000001"
"""A saved domain keeps its UUID, so that of a restorable guest is always this one."""


def to_be_saved(spec: GuestSpec) -> GuestSpec:
    """The guest that is booted in order to be saved."""
    return replace(spec, uuid=_FIXED_UUID)


def place(spec: GuestSpec, storage_path: str, hypervisor_version: int) -> str:
    """The folder on the shared storage that holds the saved state of a guest like `spec`.

    Another version of the hypervisor makes a state of its own, and so does another key of the TPM's secret.
    """
    parts = (spec.image, spec.memory_mib, spec.vcpus, spec.accelerator, spec.cmdline, spec.bridge)
    own = (vtpm.fingerprint(spec.vtpm_key),) if spec.encrypted else ()
    inputs = "|".join(map(str, (hypervisor_version, *parts, *own)))
    return f"{storage_path}/snapshots/{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"


def exists(host: Machine, folder: str) -> bool:
    """Whether a whole saved state is in `folder`."""
    status, _, _ = host.attempt(f"test -f {shlex.quote(folder)}/state")
    return status == 0


def save(connection: Hypervisor, host: Machine, spec: GuestSpec, folder: str) -> None:
    """Save the running guest into `folder`, whole or not at all; the guest is gone from the host afterwards.

    Raises:
        GuestError: libvirt or the storage refuses.
    """
    partial = shlex.quote(f"{folder}.partial")
    host.run(f"rm -rf {partial} && mkdir -p {partial}")
    try:
        connection.domain(spec.guest.domain).save(f"{folder}.partial/state")
    except HypervisorError as error:
        raise GuestError("the guest cannot be saved", where=f"host {host.role}", why=str(error)) from error
    disk = (
        f"cp --sparse=always {shlex.quote(spec.disk)} {partial}/disk.qcow2 && " if spec.kind.has_disk else ""
    )
    host.run(
        f"{disk}sync {partial}/* && rm -rf {shlex.quote(folder)} && mv {partial} {shlex.quote(folder)}",
        limit="copy_s",
    )


def restore(connection: Hypervisor, host: Machine, spec: GuestSpec, folder: str) -> None:
    """Bring the saved guest to life on `host`, on a copy of its disk; the saved state stays as it is.

    Raises:
        GuestError: The image is not the one that was built, or libvirt or the storage refuses.
    """
    digest.require(host, spec.image, spec.digests, spec.image_files)
    copy = f" && cp --sparse=always {shlex.quote(folder)}/disk.qcow2 {shlex.quote(spec.disk)}"
    host.run(
        f"mkdir -p {shlex.quote(spec.folder)}{copy if spec.kind.has_disk else ''}",
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
