"""The load generators that come from an archive of the user's: checked, set up, marked, and then left alone.

The archives are made up here. They have the layout of mstone's and Faban's own and none of their programs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.playbooks.test_lint import ROOT, tool

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the roles install as root")

SETUP = """\
#!/bin/bash
read -r answer
[ "$answer" = yes ] || { echo "License not agreed to."; exit 0; }
cp bin/mailclient "$(sed -n 's/^ *tempDir //p' "$3")"
"""
MSTONE = {
    "mstone/bin/mailmaster.pl": "print 'made up';\n",
    "mstone/bin/mailclient": "#!/bin/sh\n",
    "mstone/conf/general.wld.in": "",
    "mstone/mstone": SETUP,
}
FABAN = {"faban/bin/fhb": '#!/bin/sh\necho "$JAVA_HOME|$JDK_JAVA_OPTIONS|$*"\n', "faban/lib/made-up.jar": ""}


def archive(path: Path, files: dict[str, str]) -> dict[str, str]:
    """Write a tar archive; the inventory's variable for it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return {"source": path.name, "checksum": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}


def apply(folder: Path, role: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Apply the role to this machine with an inventory in `folder`."""
    inventory = folder / "inventory.yml"
    machine = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"client": machine}}}))
    playbook = folder / "playbook.yml"
    playbook.write_text(f"- {{hosts: client, gather_facts: false, roles: [{role}]}}\n")
    given = {f"{role}_tree": str(folder / "installed" / role), "archive_cache": str(folder), **variables}
    if not (folder / "roles").exists():
        (folder / "roles").symlink_to(ROOT / "playbooks/roles")
    return tool(
        "ansible-playbook", "--inventory", str(inventory), "--extra-vars", json.dumps(given), str(playbook)
    )


@AS_ROOT
def test_mstone_is_set_up_once(tmp_path: Path) -> None:
    found = archive(tmp_path / "mstone-4.9.4.tar.gz", MSTONE)
    (tmp_path / "temp").mkdir()
    given = {"sodbench_mstone_archive": found, "mstone_temp": str(tmp_path / "temp")}
    done = apply(tmp_path, "mstone", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    tree = tmp_path / "installed/mstone"
    assert (tree / "bin/mailmaster.pl").is_file()
    assert (tree / "VERSION").read_text() == "4.9.4\n"
    assert (tmp_path / "temp/mailclient").is_file()
    assert sorted(path.name for path in tree.parent.iterdir()) == ["mstone"]
    again = apply(tmp_path, "mstone", **given)
    assert "changed=0" in again.stdout, again.stdout


@AS_ROOT
def test_faban_gets_what_starts_it_on_a_new_jdk(tmp_path: Path) -> None:
    found = archive(tmp_path / "kit.tar.gz", FABAN)
    done = apply(tmp_path, "faban", sodbench_faban_archive={**found, "version": "1.4.2"})
    assert done.returncode == 0, done.stdout + done.stderr
    tree = tmp_path / "installed/faban"
    assert (tree / "VERSION").read_text() == "1.4.2\n"
    started = subprocess.run(
        [str(tree / "bin/sodbench-fhb"), "-r", "1/2/3"],
        env={"PATH": os.environ["PATH"], "JAVA_HOME": "/a/jdk"},
        capture_output=True,
        text=True,
        check=True,
    )
    home, options, arguments = started.stdout.strip().split("|")
    assert (home, arguments) == ("/a/jdk", "-r 1/2/3")
    assert "--add-exports=java.base/sun.net=ALL-UNNAMED" in options.split()
    assert "--add-opens=java.base/java.net=ALL-UNNAMED" in options.split()
    assert len(options.split()) == 7


@pytest.mark.parametrize(("role", "files"), [("mstone", MSTONE), ("faban", FABAN)])
def test_a_wrong_checksum_names_archive_expected_and_found(
    tmp_path: Path, role: str, files: dict[str, str]
) -> None:
    found = archive(tmp_path / "kit-1.0.tar.gz", files)
    wrong = "sha256:" + "0" * 64
    done = apply(tmp_path, role, **{f"sodbench_{role}_archive": {**found, "checksum": wrong}})
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert f"The archive of {role}, kit-1.0.tar.gz, has a wrong checksum" in said
    assert f"expected {wrong}, found {found['checksum']}" in said
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize("checksum", ["", "md5:d41d8cd98f00b204e9800998ecf8427e", "0" * 64])
def test_an_archive_without_a_sha256_is_refused(tmp_path: Path, checksum: str) -> None:
    found = archive(tmp_path / "kit.tar.gz", FABAN)
    done = apply(tmp_path, "faban", sodbench_faban_archive={**found, "checksum": checksum})
    assert done.returncode != 0
    assert "needs a source (a file or a URL) and a checksum as sha256:HEX" in " ".join(done.stdout.split())


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    given = {"source": "missing.tar.gz", "checksum": "sha256:" + "0" * 64}
    done = apply(tmp_path, "faban", sodbench_faban_archive=given)
    assert done.returncode != 0
    assert f"There is no {tmp_path}/missing.tar.gz on the controller" in " ".join(done.stdout.split())


@AS_ROOT
def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    found = archive(tmp_path / "other.tar.gz", {"other/README": "something else"})
    done = apply(tmp_path, "faban", sodbench_faban_archive=found)
    assert done.returncode != 0
    assert "should have one bin/fhb in it and has 0" in " ".join(done.stdout.split())


@pytest.mark.parametrize("role", ["mstone", "faban"])
def test_without_an_archive_nothing_is_done(tmp_path: Path, role: str) -> None:
    done = apply(tmp_path, role)
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout
    assert not (tmp_path / "installed").exists()
