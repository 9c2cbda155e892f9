"""The root that the lab's machines share: Debian 12 from the controller's own archives, built once."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.rig.lab import machine as lab_machine
from harness.rig.lab.local import run
from harness.rig.lab.machine import Machine

_PACKAGES = (
    "systemd,systemd-sysv,dbus,udev,openssh-server,python3,python3-apt,"
    "iproute2,kmod,ca-certificates,procps,iputils-ping"
)
FILES = {
    # Emulated guests of Debian 12's QEMU (7.2) died of corrupted memory seconds after a migration that lasted
    # long; none has with the QEMU of Debian's backports, so the hosts take theirs from there.
    "etc/apt/preferences.d/sodbench": (
        "Package: qemu-* seabios ipxe-qemu\nPin: release n=bookworm-backports\nPin-Priority: 990\n"
    ),
    # Without PAM a login opens no session of logind. With it, a login that comes while the last session's
    # user manager is being stopped waits for that, and in a container that took two minutes.
    "etc/ssh/sshd_config.d/sodbench.conf": "UseDNS no\nPasswordAuthentication no\nUsePAM no\n",
    "etc/systemd/network/10-br0.netdev": (
        "[NetDev]\nName=br0\nKind=bridge\n\n[Bridge]\nSTP=no\nForwardDelaySec=0\n"
    ),
    "etc/systemd/network/20-host0.network": (
        "[Match]\nName=host0\n\n[Network]\nBridge=br0\nLinkLocalAddressing=no\n"
    ),
}
_CODENAMES = ("bookworm", "trixie")
"""Debian 12, which the lab's machines are, and later ones that a controller may be."""


def apt_sources() -> str:
    """The controller's own Debian sources for Debian 12, one per line, so that the lab uses what works here.

    On a later Debian they are those of Debian 12 on the same archives.

    Raises:
        PrerequisiteError: The controller has none of Debian.
    """
    form = "$(SITE)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)"
    listed = run(["apt-get", "indextargets", "--format", form]).strip().splitlines()
    lines = [line.split("|") for line in listed if line.endswith("|Packages")]
    for codename in _CODENAMES:
        sources: dict[str, None] = {}
        for site, release, component, _ in lines:
            if release.startswith(codename):
                sources[f"deb {site} {_CODENAMES[0]}{release.removeprefix(codename)} {component}"] = None
        if sources:
            return "\n".join(sources) + "\n"
    raise PrerequisiteError(
        "no package source of Debian 12 or later is configured on this machine",
        where="/etc/apt",
        remedy="add one with `deb` lines for bookworm, then `apt-get update`",
    )


def _backports(sources: str) -> str:
    """The line for Debian's backports on the archive that `sources` names, or nothing where it has none."""
    sites = [line.split()[1] for line in sources.splitlines() if line.split()[2] == "bookworm"]
    for site in sites:
        try:
            with urllib.request.urlopen(f"{site.rstrip('/')}/dists/bookworm-backports/Release", timeout=15):
                return f"deb {site} bookworm-backports main\n"
        except OSError:  # this one has none, or cannot be asked
            continue
    return ""


def base(cache: Path, machines: Sequence[Machine], warn: Callable[[str], None]) -> Path:
    """The root that all machines share; built once and named by a hash of what went into it.

    Args:
        cache: The lab's cache, where the root lies.
        machines: The lab's machines; another base takes their own layers away.
        warn: Told what is not as it should be and is no error.

    Raises:
        PrerequisiteError: The controller has no package sources of Debian.
        ProvisionError: The root cannot be built.
    """
    sources = apt_sources()
    backports = _backports(sources)
    if not backports:
        warn(
            "The package sources of this machine have no bookworm-backports, so the lab's hosts get Debian"
            " 12's QEMU 7.2. Its emulated guests may die of corrupted memory after a long migration."
        )
    sources += backports
    inputs = "\n".join([sources, _PACKAGES, *FILES.values()])
    root = cache / f"base-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
    if root.is_dir():
        return root
    for machine in machines:
        lab_machine.stop(machine)
        lab_machine.forget_layers(machine)  # a layer over another base is of no use
    for stale in cache.glob("base-*"):
        shutil.rmtree(stale)
    partial = cache / f"base-partial-{os.getpid()}"
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"),
            *(f"--include={_PACKAGES}", "bookworm", str(partial), "-"),
        ],
        timeout_s=900,
        text_in=sources,
    )
    for name, text in FILES.items():
        (partial / name).write_text(text)
    # Without a name of its own a machine would take its address from the others.
    (partial / "etc/machine-id").write_text("")
    run(["systemctl", f"--root={partial}", "enable", "systemd-networkd.service", "ssh.service"])
    run(["systemctl", f"--root={partial}", "mask", "apt-daily.timer", "apt-daily-upgrade.timer"])
    partial.rename(root)
    return root
