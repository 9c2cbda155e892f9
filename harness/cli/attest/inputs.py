"""What the user names to `sodbench attest`: machines, registry, policies; and how each becomes a value.

Nothing here touches a machine. A registry is opened, and made where the user has none yet and something is to
be stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from harness import disk
from harness.attest.evidence import EkType, KeyType
from harness.attest.reference.files import load_policy, load_reference, matched
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues
from harness.attest.tpm.wrapping import TEMPLATES
from harness.cli.terminal import Output
from harness.data_folder import data_folder
from harness.errors import PrerequisiteError, UsageError
from harness.pair_name import DEFAULT_PAIR, HOSTS, ONLY_GUEST
from harness.registry import places
from harness.registry.errors import NoRegistryError, RegistryError
from harness.registry.places import policy_file, reference_file
from harness.registry.registry import Registry, look, open_registry, sqlite_url
from harness.rig.guest import image
from harness.rig.guest.kind import STANDARD, Kind
from harness.rig.pair import Pair

Machines = Annotated[
    list[str] | None, typer.Argument(metavar="MACHINE", help="a, b, guest. By default both hosts.")
]
OneMachine = Annotated[str, typer.Argument(metavar="MACHINE", help="a, b or guest.")]
RegistryUrl = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="SODBENCH_REGISTRY",
        help="Database URL of the registry; by default your own file.",
    ),
]
Key = Annotated[str, typer.Option("--key", help="The attestation key that signs: ecc-p256 or rsa-2048.")]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="Appraisal policy of hosts: a shipped one or a file. By default `lab` in the lab, or `default`.",
    ),
]
GuestPolicy = Annotated[str, typer.Option("--guest-policy", help="Appraisal policy of the guest, likewise.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def chosen(named: Sequence[str] | None) -> tuple[str, ...]:
    """The machines that are meant, each once.

    Raises:
        UsageError: There is no such machine.
    """
    names = tuple(dict.fromkeys(named or HOSTS))
    wrong = [one for one in names if one not in {*HOSTS, ONLY_GUEST}]
    if wrong:
        raise UsageError(f"no machine {wrong[0]!r} attests", remedy="one of: a, b, guest")
    return names


def key_type(named: str) -> KeyType:
    """The type of key that is meant.

    Raises:
        UsageError: There is no such type.
    """
    if named == "ecc-p256":
        return "ecc-p256"
    if named == "rsa-2048":
        return "rsa-2048"
    raise UsageError(f"no type of key {named!r}", remedy="one of: ecc-p256, rsa-2048")


def ek_type(named: str) -> EkType:
    """The type of endorsement key that is meant.

    Raises:
        UsageError: There is no such type.
    """
    for kind in TEMPLATES:
        if kind == named:
            return kind
    raise UsageError(f"no type of endorsement key {named!r}", remedy=f"one of: {', '.join(TEMPLATES)}")


def registry(url: str | None, pair: str = DEFAULT_PAIR) -> AbstractContextManager[Registry]:
    """The registry at `url`, or the user's own, opened for the machines of `pair`.

    Raises:
        RegistryError: It cannot be opened.
    """
    if url is None:
        try:
            data_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            where = str(data_folder())
            why = error.strerror or str(error)
            raise RegistryError(
                "no place for the registry", where=where, why=why, remedy=disk.remedy(error)
            ) from error
    return open_registry(places.registry_url(url), pair=pair, anchors=places.anchors())


@contextmanager
def looking(url: str | None, pair: str = DEFAULT_PAIR) -> Iterator[Registry]:
    """The registry at `url`, or the user's own, to look at; an empty one, kept nowhere, where there is none.

    Raises:
        RegistryError: There is one and it cannot be read.
    """
    with ExitStack() as stack:
        try:
            found = look(places.registry_url(url), pair=pair)
        except NoRegistryError as error:
            Output(error=True).say(f"There is no registry yet: {error.where}")
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="sodbench-none-")))
            found = open_registry(sqlite_url(folder / "registry.sqlite"))
        yield stack.enter_context(found)


def policy(name: str, pair: Pair | None, hosts: str | None, guest: str) -> AppraisalPolicy:
    """The appraisal policy that `name` is judged by.

    Raises:
        UsageError: There is no such policy.
        InputFileError: Its file is wrong.
    """
    of_rig = "lab" if pair is not None and pair.rig == "lab" else "default"
    return load_policy(policy_file(guest if name == ONLY_GUEST else hosts or of_rig))


def reference_place(name: str, pair: Pair, kind: Kind = STANDARD) -> Path:
    """Where the reference values of a machine lie; a guest's belong to its image."""
    return reference_file(f"{ONLY_GUEST}-{image.image_key(pair, kind)}" if name == ONLY_GUEST else name)


def reference(name: str, place: Path, policy: AppraisalPolicy) -> ReferenceValues:
    """The reference values at `place`, which must have something for what `policy` checks.

    Raises:
        PrerequisiteError: None were recorded.
        InputFileError: The file is wrong, or does not fit the policy.
    """
    if not place.is_file():
        raise PrerequisiteError(
            f"no reference values of {name}",
            where=str(place),
            remedy=f"on a machine that is known to be good: sodbench attest reference {name}",
        )
    found = load_reference(place)
    matched(policy, found, f"{policy.name}, {place}")
    return found
