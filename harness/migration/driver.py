"""The one place that asks for a migration: managed, direct, from the controller; once, never again.

A migration that fails is an outcome with its reason, not an exception, and is not repeated: what failed under
load is a result. Which host is the source is the caller's to find out, from where the guest is.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import libvirt

from harness.clock import Clock
from harness.migration.obstacle import Obstacle, obstacle
from harness.migration.options import MigrationOptions
from harness.rig import uri
from harness.rig.contract import Hypervisor, HypervisorError, Job
from harness.rig.guest import vtpm
from harness.rig.guest.guest import Guest

_ASK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a migration ended.

    Attributes:
        ok: Whether the guest runs at the destination, as far as libvirt says.
        returned_ns: Controller's clock right after the call.
        error: libvirt's reason when it failed.
        obstacle: What kept the guest where it is, where that is known to be a matter of keys.
    """

    ok: bool
    returned_ns: int
    error: str | None
    obstacle: Obstacle | None = None


_SWITCHES = MappingProxyType(
    {
        "auto_converge": libvirt.VIR_MIGRATE_AUTO_CONVERGE,
        "xbzrle": libvirt.VIR_MIGRATE_COMPRESSED,
        "parallel_connections": libvirt.VIR_MIGRATE_PARALLEL,
    }
)
_PARAMETERS = MappingProxyType(
    {
        "bandwidth_mib_s": libvirt.VIR_MIGRATE_PARAM_BANDWIDTH,
        "auto_converge_initial_percent": libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL,
        "auto_converge_increment_percent": libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT,
        "parallel_connections": libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS,
    }
)


def flags(options: MigrationOptions) -> int:
    """The virDomainMigrateFlags for `options`.

    UNSAFE, because libvirt knows only some file systems to be shared and the lab's folder is not among them;
    that both hosts see the same storage is verified before the run, and the disk is opened with cache='none'.
    """
    value: int = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_UNSAFE
    for name, flag in _SWITCHES.items():
        value |= flag if getattr(options, name) else 0
    value |= libvirt.VIR_MIGRATE_TLS if options.encrypted else 0
    return value | (libvirt.VIR_MIGRATE_POSTCOPY if options.mode == "post-copy" else 0)


def parameters(options: MigrationOptions, *, address: str) -> dict[str, str | int]:
    """The typed parameters of virDomainMigrate3 for `options`, to a host at `address`."""
    values: dict[str, str | int] = {libvirt.VIR_MIGRATE_PARAM_URI: uri.migration(address)}
    for name, parameter in _PARAMETERS.items():
        value = getattr(options, name)
        if value is not None:
            values[parameter] = value
    if options.xbzrle:
        values[libvirt.VIR_MIGRATE_PARAM_COMPRESSION] = "xbzrle"
        if options.xbzrle_cache_mib:
            cache = options.xbzrle_cache_mib * 1024 * 1024
            values[libvirt.VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE] = cache
    return values


def prepare(source: Hypervisor, guest: Guest, options: MigrationOptions) -> None:
    """Set what must be set on the source before the call, so that the call is all that is timed.

    Raises:
        HypervisorError: The hypervisor refuses.
    """
    if options.downtime_limit_ms is not None:
        source.domain(guest.domain).job.limit_downtime(options.downtime_limit_ms)


def send_ahead(source: Hypervisor, destination: Hypervisor, guest: Guest, key: bytes) -> str | None:
    """Set at the destination the secret of the guest's TPM; why that cannot be, or None.

    The destination's libvirtd may have been restarted since, and have lost it.
    """
    try:
        vtpm.send_ahead(source, destination, guest.domain, key)
    except HypervisorError as error:
        return f"the secret of the guest's TPM cannot be set: {error}"
    return None


def stays(unfit: str, clock: Clock) -> Outcome:
    """The outcome of a migration whose guest cannot arrive, so that it was not asked to leave."""
    return Outcome(ok=False, returned_ns=clock.now_ns(), error=unfit, obstacle=obstacle(unfit))


def migrate(
    source: Hypervisor,
    destination: Hypervisor,
    guest: Guest,
    options: MigrationOptions,
    *,
    address: str,
    clock: Clock,
) -> Outcome:
    """Move `guest` from `source` to `destination`, which listens at `address`; blocks until it is over."""
    done = threading.Event()
    try:
        job = source.domain(guest.domain).job
        if options.mode == "post-copy":
            _switch_later(job, options, clock, done)
        job.migrate(destination, parameters(options, address=address), flags(options))
    except HypervisorError as error:
        said = str(error)
        return Outcome(ok=False, returned_ns=clock.now_ns(), error=said, obstacle=obstacle(said))
    finally:
        done.set()
    return Outcome(ok=True, returned_ns=clock.now_ns(), error=None)


def _switch_later(job: Job, options: MigrationOptions, clock: Clock, done: threading.Event) -> None:
    """Ask for the switch to post-copy after the stated time, or after the first pass over memory.

    libvirt prepares both hosts before QEMU begins to migrate, and refuses the switch until then: on a busy
    host that is later than the stated time. So it is asked until it agrees or the migration is over, whose
    outcome says how.
    """
    after_s = options.post_copy_after_s

    def is_due() -> bool:
        return after_s is not None or int(str(job.statistics().get("memory_iteration", 0))) > 1

    def watch() -> None:
        wait_s = _ASK_AGAIN_S if after_s is None else after_s
        while not clock.wait(wait_s, done):
            with suppress(HypervisorError):
                if is_due():
                    job.switch_to_post_copy()
                    return
            wait_s = _ASK_AGAIN_S

    threading.Thread(target=watch, name="post-copy-switch", daemon=True).start()


def cancel(source: Hypervisor, guest: Guest) -> bool:
    """Ask the running migration to stop; whether there was one to ask."""
    try:
        source.domain(guest.domain).job.cancel()
    except HypervisorError:  # no domain or no job: nothing to cancel
        return False
    return True
