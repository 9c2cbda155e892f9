"""How a guest is to be moved: the user's migration options, and which of them cannot go together.

These are values only: nothing here talks to libvirt, and what a driver makes of an option is not decided
here. Combinations that QEMU or libvirt refuse are named before a run instead of failing in the middle of
one. An option that is left out means the hypervisor's own default, which a report records, never a number
of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from harness.strict import Strict

Percent = Annotated[int, Field(ge=1, le=99)]
"""QEMU's range of a CPU throttle: 0 would not throttle and 100 would stop the guest."""


class MigrationOptions(Strict):
    """The options of every migration of a campaign; None means the hypervisor's default.

    Limits are QEMU's own (qapi/migration.json, MigrationParameters): what is accepted here can be set.
    """

    mode: Literal["pre-copy", "post-copy"] = Field(
        default="pre-copy",
        description="pre-copy sends memory while the guest runs and then stops it; "
        "post-copy starts it at the destination first and fetches what is missing",
    )
    post_copy_after_s: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="s from the call to the switch to post-copy; default: after the first pass over memory",
    )
    downtime_limit_ms: int | None = Field(
        default=None,
        ge=1,
        le=2_000_000,
        description="ms the guest may be stopped; default: the hypervisor's (QEMU: 300)",
    )
    bandwidth_mib_s: int | None = Field(
        default=None, ge=0, le=1_000_000, description="MiB/s a migration may use; default: unlimited"
    )
    auto_converge: bool = Field(
        default=False, description="throttle the guest's CPU when memory does not converge"
    )
    auto_converge_initial_percent: Percent | None = Field(
        default=None, description="% of the first throttle; default: the hypervisor's (QEMU: 20)"
    )
    auto_converge_increment_percent: Percent | None = Field(
        default=None, description="% added each time; default: the hypervisor's (QEMU: 10)"
    )
    xbzrle: bool = Field(default=False, description="send differences of pages that were sent before")
    xbzrle_cache_mib: int | None = Field(
        default=None, ge=1, le=65_536, description="MiB of cache for xbzrle, a power of two (QEMU: 64)"
    )
    parallel_connections: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="multifd: number of connections; default: one, without multifd",
    )
    tls: bool | None = Field(
        default=None,
        description="encrypt migrations (TLS), each host proving to the other that it is of the rig; "
        "default: true",
    )

    @property
    def encrypted(self) -> bool:
        """Whether a migration with these options is encrypted."""
        return self.tls is not False

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a word on encryption the bytes are those from before it: plans keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.tls is None:
            found.pop("tls", None)
        return found


def conflicts(options: MigrationOptions) -> Iterator[tuple[str, str]]:
    """Each unsupported combination as (the key to change, the sentence that names it).

    Sources: QEMU migration/options.c (migrate_caps_check, migrate_params_check), libvirt's virDomainMigrate3.
    """
    yield from _missing_switch(options)
    yield from _refused_together(options)
    if options.bandwidth_mib_s == 0:
        yield (
            "bandwidth_mib_s",
            "bandwidth_mib_s: 0 is not a speed (libvirt reads it as its default): leave it out for unlimited",
        )
    cache = options.xbzrle_cache_mib
    if cache is not None and cache & (cache - 1):
        yield "xbzrle_cache_mib", f"xbzrle_cache_mib: {cache} is not a power of two, which QEMU requires"


def _missing_switch(options: MigrationOptions) -> Iterator[tuple[str, str]]:
    """Options that have no effect, because what they tune is off."""
    if options.post_copy_after_s is not None and options.mode != "post-copy":
        yield "post_copy_after_s", "post_copy_after_s without mode: post-copy: nothing switches in pre-copy"
    for key in ("auto_converge_initial_percent", "auto_converge_increment_percent"):
        if getattr(options, key) is not None and not options.auto_converge:
            yield key, f"{key} without auto_converge: true: nothing throttles"
    if options.xbzrle_cache_mib is not None and not options.xbzrle:
        yield "xbzrle_cache_mib", "xbzrle_cache_mib without xbzrle: true: there is no cache"


def _refused_together(options: MigrationOptions) -> Iterator[tuple[str, str]]:
    """Options that QEMU refuses, or does not honour, together with parallel connections."""
    if options.parallel_connections is None:
        return
    if options.mode == "post-copy":
        yield (
            "parallel_connections",
            "parallel_connections with mode: post-copy: QEMU before 10.1 refuses multifd with post-copy, "
            "and the two hosts may run different versions",
        )
    if options.xbzrle:
        yield (
            "parallel_connections",
            "parallel_connections with xbzrle: multifd sends whole pages; newer QEMU refuses the two, "
            "older QEMU ignores the cache silently",
        )
