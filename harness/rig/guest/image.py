"""The images that guests boot: each named by a hash of everything in it, built when that is missing.

The image is built natively by a playbook, never inside an emulated guest. Its name changes when the role does
(the sample application's sources and every pinned version are in it), the key that opens it, or what the
inventory asks of it, and only then is it built again. The attester is part of the image, so its role is too.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from harness import resources
from harness.errors import GuestError
from harness.json_types import Json
from harness.rig.guest import digest, login_key
from harness.rig.guest.digest import Kept
from harness.rig.guest.kind import KINDS, STANDARD, Kind
from harness.rig.host import Host
from harness.rig.pair import Pair
from harness.rig.provision import Progress, play

_MOST_DESCRIBED = 2**20
"""Characters of an image's description, which lists its packages."""


def image_key(pair: Pair, kind: Kind = STANDARD) -> str:
    """Sixteen hexadecimal digits that name the image `pair` needs; asks no machine.

    Raises:
        PrerequisiteError: The guests' key cannot be used.
    """
    digest = hashlib.sha256()
    for name in kind.inputs:
        for path in _files(resources.playbooks() / name):
            digest.update(f"{path.relative_to(resources.playbooks())}\0".encode())
            digest.update(path.read_bytes())
    asked: dict[str, Json] = {"authorized_key": login_key.public(pair.guest_key)}
    if kind.options is None:
        asked |= {**pair.image_options, "dns": list(pair.guest_network.dns)}
    else:
        asked |= {name: pair.image_options.get(name) for name in kind.options}
    digest.update(json.dumps(asked, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(one for one in path.rglob("*") if one.is_file() and one.parent.name != "__pycache__")


def _folder(pair: Pair, key: str) -> str:
    """Where the image is, as a word of a shell."""
    return shlex.quote(f"{pair.storage_path}/images/{key}")


def exists(pair: Pair, builder: Host, key: str) -> bool:
    """Whether the image is on the shared storage, whole."""
    status, _, _ = builder.attempt(f"test -f {_folder(pair, key)}/image.json")
    return status == 0


def ensure(
    pair: Pair,
    builder: Host,
    digests: Kept,
    *,
    artifacts: Path | None,
    progress: Progress,
    kind: Kind = STANDARD,
) -> tuple[str, bool]:
    """The image's key, and whether it had to be built; `digests` has those of its files then.

    Raises:
        ProvisionError: The playbook failed; nothing half-built is left under the image's name.
    """
    key = image_key(pair, kind)
    if exists(pair, builder, key):
        return key, False
    variables = {kind.variable: key, "sodbench_image_authorized_key": login_key.public(pair.guest_key)}
    play(
        kind.playbook,
        pair.inventory,
        artifacts=artifacts,
        variables=variables,
        progress=progress,
        programs=pair.programs,
        limit_s=pair.ansible_limit_s,
    )
    digests.keep(key, digest.taken(builder, f"{pair.storage_path}/images/{key}"))
    _prune(pair, builder, [image_key(pair, one) for one in KINDS])
    return key, True


def _prune(pair: Pair, builder: Host, keys: Sequence[str]) -> None:
    """Remove all images but `keys`, and the guests saved from them: nothing can use them any more.

    The caller holds the rig, so no run is using one either.
    """
    storage = shlex.quote(pair.storage_path)
    others = " ".join(f"! -name {key}" for key in keys)
    builder.run(
        f"find {storage}/images -mindepth 1 -maxdepth 1 -type d {others} -exec rm -rf {{}} + && "
        f"rm -rf {storage}/snapshots",
        limit="copy_s",
    )


def describe(pair: Pair, builder: Host, key: str) -> dict[str, Json]:
    """What is in the image, as its build wrote it down.

    Raises:
        GuestError: The image is not there, or the description is something else.
    """
    status, out, _ = builder.attempt(f"cat {_folder(pair, key)}/image.json")
    where = f"{pair.storage_path}/images/{key}"
    if status != 0:
        raise GuestError("the guest image is missing", where=where, remedy="`sodbench provision`")
    try:
        said = json.loads(out) if len(out) <= _MOST_DESCRIBED else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise GuestError(
            "the guest image is not described",
            where=where,
            why=f"image.json is no JSON object of at most {_MOST_DESCRIBED} characters",
            remedy="remove this folder; `sodbench provision` builds the image again",
        )
    return said
