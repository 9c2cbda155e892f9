"""Checks of what is shown and written of secrets: each is removed once, and its attack succeeds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ansible_runner
import pytest

from harness.cli import run as run_verb
from harness.registry import database, url
from harness.registry.errors import RegistryError
from harness.rig import ansible
from tests.security.removed import Attack, Removed, require_needed


def password_in_manifest(_folder: Path) -> bool:
    """The command line names a database with its password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sodbench", "run", "--registry", "postgresql://me:SECRET@db/registry"])
        return "SECRET" not in str(run_verb._command_line())


def spelled_password_in_manifest(_folder: Path) -> bool:
    """The command line spells the name of the password in another way, which libpq reads as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sodbench", "--registry=postgresql://db/r?pass%77ord=SECRET"])
        return "SECRET" not in str(run_verb._command_line())


def _told(address: str) -> bool:
    try:
        database.Database(address, wait_s=1).close()
    except RegistryError as error:
        return "SECRET" in str(error)
    return True


def end_of_a_password(_folder: Path) -> bool:
    """The password has an @, after which another program would look for the host."""
    return not _told("postgresql://me:a@SECRET@db/registry")


def password_in_the_ports_place(_folder: Path) -> bool:
    """The host was forgotten, so that the password stands where a port would."""
    return not _told("postgresql://me:SECRET/registry")


def password_not_utf_8(_folder: Path) -> bool:
    """The message of a URL that cannot be read shows the URL."""
    return not _told("postgresql://me:SECRET\udcff@db/registry")


def port_of_letters(_folder: Path) -> bool:
    """The URL of a registry has a port that is no number."""
    try:
        url.parsed("postgresql://user@host:port/registry")
    except RegistryError:
        return True
    except ValueError:
        return False
    return False


def _runs(folder: Path, look: Callable[[Path, dict[str, object]], bool]) -> bool:
    """What `look` finds in the folder at the moment at which ansible-runner has written its record."""
    found: list[bool] = []

    def run(**words: object) -> object:
        record = Path(str(words["artifact_dir"]), str(words["ident"]), "command")
        record.write_text(json.dumps({"command": [], "env": {"PGPASSWORD": "SECRET"}}))
        record.chmod(0o600)
        found.append(look(folder, words))
        return SimpleNamespace()

    (folder / "scratch").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ansible_runner, "run", run)
        ansible.run(
            Path("verify.yml"),
            Path("inventory.yml"),
            folder / "scratch",
            environment={"ODD": "SECRET"},
            on_event=lambda _event: True,
            artifacts=folder / "artifacts",
        )
    return found == [True] and look(folder, {"suppress_env_files": True})


def environment_in_artifacts(folder: Path) -> bool:
    """Ansible's runner writes its whole environment down, and is killed."""

    def look(where: Path, _words: dict[str, object]) -> bool:
        kept = [path for path in where.rglob("*") if path.is_file() and not path.is_symlink()]
        return not any("SECRET" in path.read_text() for path in kept)

    return _runs(folder, look)


def environment_in_scratch(folder: Path) -> bool:
    """It writes what it was given of an environment to its private folder as well."""
    return _runs(folder, lambda _where, words: words["suppress_env_files"] is True)


REMOVED: tuple[tuple[Removed, Attack], ...] = (
    (
        Removed(
            function=run_verb._command_line,
            check="*(without_secrets(argument) for argument in sys.argv[1:])",
            by="*sys.argv[1:]",
        ),
        password_in_manifest,
    ),
    (
        Removed(function=url.without_secrets, check=r'_USER.sub(r"\1:***@", argument)', by="argument"),
        password_in_manifest,
    ),
    (Removed(function=url._masked, check="unquote_plus(name)", by="name"), spelled_password_in_manifest),
    (Removed(function=url.parsed, check="> 1", by="> 9"), end_of_a_password),
    (
        Removed(
            function=url.parsed,
            check='why = "what stands in the port\'s place is no number"',
            by="why = url",
        ),
        password_in_the_ports_place,
    ),
    (Removed(function=url._require_utf_8, check="without_secrets(place)", by="place"), password_not_utf_8),
    (
        Removed(function=url.parsed, check="except ValueError:", by="except ArgumentError:"),
        port_of_letters,
    ),
    (
        Removed(function=ansible._in_memory, check="file.symlink_to(place)", by="file.touch()"),
        environment_in_artifacts,
    ),
    (
        Removed(function=ansible._in_memory, check='sorted(said["env"])', by='said["env"]'),
        environment_in_artifacts,
    ),
    (
        Removed(function=ansible.run, check="suppress_env_files=True", by="suppress_env_files=False"),
        environment_in_scratch,
    ),
)


@pytest.mark.parametrize(("removed", "attack"), REMOVED, ids=lambda one: getattr(one, "id", ""))
def test_an_attack_notices_that_its_check_is_missing(
    removed: Removed, attack: Attack, tmp_path: Path
) -> None:
    require_needed(removed, attack, tmp_path)
