"""What a run attests with: policies and reference values, copied into its folder before its first trial.

A stored run must say by what it was judged, and a resume must judge by the same. So the files are looked up
once, checked, and from then on only their copies are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.attest.options import Attest
from harness.attest.reference.files import load_policy, load_reference
from harness.attest.reference.policy import AppraisalPolicy, ReferenceValues, contradictions
from harness.errors import PrerequisiteError
from harness.evidence.folder import RunFolder
from harness.files import write_atomic
from harness.pair_name import GUEST, HOSTS
from harness.registry import places
from harness.registry.registry import Registry

_SUBJECTS = (*HOSTS, GUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalFiles:
    """By what each machine of a run is judged, by role: ``a``, ``b``, ``guest``."""

    policies: Mapping[str, AppraisalPolicy]
    references: Mapping[str, ReferenceValues]


def locate(attest: Attest, image_key: str, references: Path | None = None) -> dict[str, Path]:
    """The files that a campaign's section asks for, by the names they get in the run's folder.

    Reference values are looked for in the folder `references`, by default the user's own.

    Raises:
        UsageError: There is no such policy.
    """
    names = {role: role for role in HOSTS} | {GUEST: f"{GUEST}-{image_key}"}
    return {
        "policy.yml": places.policy_file(attest.policy),
        "policy-guest.yml": places.policy_file(attest.guest_policy),
        **{f"reference-{role}.yml": places.reference_file(names[role], references) for role in _SUBJECTS},
    }


def require(attest: Attest, files: Mapping[str, Path], registry: Registry) -> None:
    """Refuse a run that could not attest as its campaign asks, before anything is made.

    Raises:
        PrerequisiteError: A host is not enrolled, or reference values are missing or do not fit.
        InputFileError: A policy or reference file is wrong.
    """
    problems = [*_missing(files), *_not_enrolled(attest, registry)]
    if not problems:
        appraisal = _read(files)
        problems = [
            f"{role}: {text}"
            for role in _SUBJECTS
            for text in contradictions(appraisal.policies[role], appraisal.references[role])
        ]
    if problems:
        raise PrerequisiteError(
            "the machines cannot be attested as the campaign asks",
            why="\n       ".join(problems),
            remedy="`sodbench attest enrol`, `sodbench attest reference a b guest`; nothing was touched",
        )


def _missing(files: Mapping[str, Path]) -> list[str]:
    return [f"{path}: no reference values ({name})" for name, path in files.items() if not path.is_file()]


def _not_enrolled(attest: Attest, registry: Registry) -> list[str]:
    problems = []
    for role in HOSTS:
        found = registry.attester(role)
        kinds = {key.kind for key in found.keys if not key.revoked} if found is not None else set()
        if found is None:
            problems.append(f"host {role}: not enrolled")
        elif found.held:
            problems.append(f"host {role}: held as contraindicated until it is enrolled again (--renew)")
        elif absent := [kind for kind in attest.keys if kind not in kinds]:
            problems.append(f"host {role}: no key of type {', '.join(absent)}")
    return problems


def keep(run: RunFolder, files: Mapping[str, Path]) -> None:
    """Copy the files into the run's folder.

    Raises:
        StorageError: They cannot be written.
    """
    for name, path in files.items():
        write_atomic(run.attestation / name, path.read_bytes())


def kept(run: RunFolder) -> AppraisalFiles:
    """What :func:`keep` stored.

    Raises:
        InputFileError: A file was changed into something else since.
    """
    names = ("policy.yml", "policy-guest.yml", *(f"reference-{role}.yml" for role in _SUBJECTS))
    return _read({name: run.attestation / name for name in names})


def _read(files: Mapping[str, Path]) -> AppraisalFiles:
    host, guest = load_policy(files["policy.yml"]), load_policy(files["policy-guest.yml"])
    return AppraisalFiles(
        policies={**dict.fromkeys(HOSTS, host), GUEST: guest},
        references={role: load_reference(files[f"reference-{role}.yml"]) for role in _SUBJECTS},
    )
