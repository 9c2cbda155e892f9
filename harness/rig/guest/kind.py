"""The images that a guest can boot: what each is built by, and how guests of it differ.

The standard image is a Debian on a disk of its own, with the servers of all workloads. The small image is a
kernel and an initramfs: no disk, no systemd, little memory, and the paced writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.errors import UsageError

GuestImage: TypeAlias = Literal["standard", "small"]
"""The campaign's word for an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of an image before it is built.

    Attributes:
        name: The campaign's word for it.
        playbook: What builds it.
        inputs: The playbook and the roles that its name is a hash of.
        options: The inventory's variables ``sodbench_image_*`` that it depends on, by what follows in their
            name; None for all of them.
        variable: The playbook's variable for the image's key.
        has_disk: Whether a guest of it has a disk; without one its root is the initramfs.
        root: What its kernel is told of its root.
        clocks: The command that answers as ``clocks_probe.py`` does, in a guest without Python; None where
            the probe itself runs.
        has_systemd: Whether its start is over only when systemd says so.
    """

    name: GuestImage
    playbook: str
    inputs: tuple[str, ...]
    options: tuple[str, ...] | None
    variable: str
    has_disk: bool
    root: str
    clocks: str | None
    has_systemd: bool

    def kernel(self, *, tpm: bool) -> str:
        """The kernel's file: unpacked it starts sooner, but with a TPM it finds no devices then."""
        return "vmlinuz" if tpm or self.has_disk else "vmlinux"

    def initrd(self, *, tpm: bool) -> str:
        """The file that a guest starts from: the small guest has its attester only with a TPM."""
        return "initrd.measured" if tpm and not self.has_disk else "initrd"


STANDARD = Kind(
    name="standard",
    playbook="guest_image.yml",
    inputs=("guest_image.yml", "roles/guest_image", "roles/attester"),
    options=None,
    variable="sodbench_image_key",
    has_disk=True,
    root="root=/dev/vda rw ",
    clocks=None,
    has_systemd=True,
)
SMALL = Kind(
    name="small",
    playbook="small_image.yml",
    inputs=("small_image.yml", "roles/small_image", "roles/attester"),
    options=("apt_sources", "suite"),
    variable="sodbench_small_image_key",
    has_disk=False,
    root="",
    clocks="exec sodbench-clocks",
    has_systemd=False,
)
KINDS = (STANDARD, SMALL)


def kind_called(name: str) -> Kind:
    """The image that a person calls `name`.

    Raises:
        UsageError: There is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise UsageError(
        f"there is no guest image {name!r}", remedy=f"one of {', '.join(kind.name for kind in KINDS)}"
    )


def kind_of(image: GuestImage) -> Kind:
    """The image that a campaign calls `image`."""
    return SMALL if image == "small" else STANDARD
