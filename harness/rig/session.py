"""An opened rig: every connection that a run needs, made once, checked, and given back.

Opening takes the rig's lock, proves the accelerator and finds the golden image; it changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.clock import Clock
from harness.errors import GuestError
from harness.pair_name import CLIENT, FIRST, HOSTS
from harness.rig import acceleration, lock, verify
from harness.rig.acceleration import Accelerator
from harness.rig.guest import digest, host_key, image
from harness.rig.guest.digest import Kept
from harness.rig.guest.guest import Guest
from harness.rig.guest.kind import STANDARD, Kind
from harness.rig.host import Host
from harness.rig.hypervisors import LibvirtHosts
from harness.rig.limits import Limits
from harness.rig.pair import Pair
from harness.rig.rig import Rig


@contextmanager
def open_rig(
    pair: Pair,
    purpose: str,
    clock: Clock,
    kind: Kind = STANDARD,
    *,
    vtpm_key: bytes = b"",
    images: Kept | None = None,
    saved: Kept | None = None,
) -> Iterator[Rig]:
    """Connect to every machine of `pair` and hold its lock for the length of the block.

    Guests of the rig boot the image of that `kind`. The state of their TPMs is encrypted where there is a
    `vtpm_key`. Where the digests of `images` are kept, each guest boots an image that they describe; those of
    an image that is not among them are taken. Where those of `saved` guests are kept, no other saved guest is
    restored.

    Raises:
        UnreachableError: A machine does not answer.
        RigLockedError: Another controller is using the rig.
        GuestError: The image is missing, or not the one that was built.
    """
    with ExitStack() as stack:
        hosts = {role: stack.enter_context(Host(pair.machines[role], clock)) for role in HOSTS}
        client = stack.enter_context(Host(pair.machines[CLIENT], clock))
        stack.enter_context(lock.hold(hosts[FIRST], purpose))
        client.run("true", root=False)
        hypervisors = stack.enter_context(LibvirtHosts(pair))
        hypervisors.connect()
        key = image.image_key(pair, kind)
        described = image.describe(pair, hosts[FIRST], key)
        digests = {} if images is None else _digests(images, hosts[FIRST], pair, key)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sodbench-guest-")))

        @cache
        def reach(guest: Guest) -> Host:
            return stack.enter_context(host_key.reached(pair, guest, hosts, folder, clock))

        yield Rig(
            pair=pair,
            hosts=hosts,
            client=client,
            subject=pair.only_guest,
            guest=reach(pair.only_guest),
            reach=reach,
            hypervisors=hypervisors,
            accelerator=_accelerator(pair, hosts, key),
            image_key=key,
            image=described,
            kind=kind,
            facts=partial(verify.facts, pair),
            vtpm_key=vtpm_key,
            digests=digests,
            saved=saved,
        )


def _digests(images: Kept, host: Host, pair: Pair, key: str) -> dict[str, str]:
    """Those of the rig's image."""
    folder = f"{pair.storage_path}/images/{key}"
    found = images.of(key)
    if not found:
        found = digest.taken(host, folder)
        images.keep(key, found)
    return found


def _accelerator(pair: Pair, hosts: Mapping[str, Host], key: str) -> Accelerator:
    """What both hosts have: a guest that moves between KVM and emulation would measure neither."""
    folder = f"{pair.storage_path}/images/{key}"
    with ThreadPoolExecutor(len(hosts)) as pool:
        answers = {role: pool.submit(acceleration.accelerator, host, folder) for role, host in hosts.items()}
    found = {role: answer.result() for role, answer in answers.items()}
    if len(set(found.values())) != 1:
        raise GuestError(
            "the hosts do not accelerate guests alike",
            where=", ".join(f"{role}: {kind}" for role, kind in found.items()),
            remedy="enable virtualisation in the firmware of the one with tcg; "
            + Limits.advice("acceleration_s", "it"),
        )
    return "kvm" if found[FIRST] == "kvm" else "tcg"
