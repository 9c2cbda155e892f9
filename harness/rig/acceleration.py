"""Whether a host really runs guests under KVM: proved by booting a kernel, never believed.

A device file, an opened /dev/kvm and libvirt's capabilities all say yes on hosts where no guest kernel ever
boots (nested and paravirtual ones). So the guest's own kernel is booted under KVM with a time limit, and the
answer is remembered on the host until it reboots.
"""

from __future__ import annotations

import shlex

from harness.rig.host import Host

BOOT_LIMIT_S = 10
"""A cloud kernel under KVM hands over to its first program in about a second."""

_PROOF = "Run /"
"""What a Linux kernel prints when it hands over to the first program (init/main.c, run_init_process)."""

REMEMBERED = "/run/sodbench-accelerator"


def accelerator(host: Host, image: str) -> str:
    """``kvm`` if the kernel in the folder `image` has been seen to boot under KVM on `host`, else ``tcg``."""
    _, known, _ = host.attempt(f"cat {REMEMBERED}")
    if known.strip() in ("kvm", "tcg"):
        return known.strip()
    answer = "kvm" if _boots_under_kvm(host, image) else "tcg"
    host.run(f"echo {answer} > {REMEMBERED}")
    return answer


def _boots_under_kvm(host: Host, image: str) -> bool:
    kernel = shlex.quote(f"{image}/vmlinuz")
    # Without any root or initrd the kernel prints its proof or panics: both mean that it ran.
    _, out, _ = host.attempt(
        f"test -c /dev/kvm && timeout -k 2 {BOOT_LIMIT_S} qemu-system-x86_64 -machine q35,accel=kvm -m 256 "
        f"-display none -monitor none -serial stdio -nic none -no-reboot -kernel {kernel} "
        "-append 'console=ttyS0 panic=-1' </dev/null",
        timeout_s=BOOT_LIMIT_S + 10,
    )
    return _PROOF in out or "Kernel panic - not syncing: VFS" in out
