"""Whether a host really runs guests under KVM: proved by booting a kernel, never believed.

A device file, an opened /dev/kvm and libvirt's capabilities all say yes on hosts where no guest kernel ever
boots (nested and paravirtual ones). So the guest's own kernel is booted under KVM with a time limit, and the
answer is remembered on the host until it reboots.
"""

from __future__ import annotations

import shlex
from typing import Literal, TypeAlias

from harness.rig.host import Host

Accelerator: TypeAlias = Literal["kvm", "tcg"]
"""What runs the guest's instructions, as proven by booting one: hardware (kvm) or QEMU's emulator (tcg)."""


_PROOF = "Run /"
"""What a Linux kernel prints when it hands over to the first program (init/main.c, run_init_process)."""

REMEMBERED = "/run/sodbench-accelerator"
"""The answer and, in s, how long the kernel was given: a no counts until it is given longer."""


def accelerator(host: Host, image: str) -> str:
    """``kvm`` if the kernel in the folder `image` has been seen to boot under KVM on `host`, else ``tcg``.

    A cloud kernel under KVM hands over to its first program in about a second; a host that needs more than
    the default says so by its ``sodbench_limits.acceleration_s``.
    """
    limit_s = host.endpoint.limits.acceleration_s
    _, text, _ = host.attempt(f"cat {REMEMBERED}")
    known = remembered(text, limit_s)
    if known is not None:
        return known
    answer = "kvm" if _boots_under_kvm(host, image, limit_s) else "tcg"
    host.run(f"echo {answer} {limit_s:g} > {REMEMBERED}")
    return answer


def remembered(text: str, limit_s: float) -> str | None:
    """What a host remembers as its accelerator, or None if that must be proved with the limit `limit_s`."""
    match text.split():
        case ["kvm", *_]:
            return "kvm"
        case ["tcg"]:
            return "tcg"
        case ["tcg", given] if _number(given) >= limit_s:
            return "tcg"
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _boots_under_kvm(host: Host, image: str, limit_s: float) -> bool:
    kernel = shlex.quote(f"{image}/vmlinuz")
    # Without any root or initrd the kernel prints its proof or panics: both mean that it ran.
    _, out, _ = host.attempt(
        f"test -c /dev/kvm && timeout -k 2 {limit_s:g} qemu-system-x86_64 -machine q35,accel=kvm -m 256 "
        f"-display none -monitor none -serial stdio -nic none -no-reboot -kernel {kernel} "
        "-append 'console=ttyS0 panic=-1' </dev/null",
        timeout_s=limit_s + 10,
    )
    return _PROOF in out or "Kernel panic - not syncing: VFS" in out
