"""Hosts that are enrolled and measured, once for all tests of the lab that attest: it takes a minute."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Finished, Lab


class Trust:
    """The command line with a registry of the tests' own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._knows_small = False

    def say(self, *arguments: str | Path, timeout_s: float = 300.0) -> Finished:
        return self._lab.sodbench("attest", *arguments, timeout_s=timeout_s)

    def know_small(self) -> None:
        """Record the small guest's reference values, once for all tests that ask."""
        if not self._knows_small:
            done = self.say("reference", "guest", "--image", "small")
            assert done.status == 0, done
            self._knows_small = True

    def verify(self, *machines: str) -> dict[str, dict[str, Any]]:
        done = self.say("verify", "--json", *machines)
        said = json.loads(done.output[done.output.index("[") :])
        found = [{**one["result"], "machine": one["machine"]} for one in said]
        assert done.status == (0 if all(one["tier"] == "affirming" for one in found) else 14), done
        return {one["machine"]: one for one in found}

    def tpm(self, host: str, command: str) -> str:
        tcti = "--tcti swtpm:path=/run/sodbench/swtpm.sock"
        return self._lab.ssh(host, command.replace("tpm2_", "/usr/bin/tpm2_", 1) + f" {tcti}")

    def signal(self, host: str, name: str) -> None:
        """To the TPM's process; a container's systemd cannot by itself."""
        self.ssh(host, f"kill -{name} $(systemctl show --property MainPID --value sodbench-swtpm.service)")

    def ssh(self, host: str, command: str) -> str:
        return self._lab.ssh(host, command)

    def begin_anew(self, host: str) -> None:
        """What an operator does with a host that was found bad: start it anew, and enrol it again."""
        self._lab.ssh(host, "systemctl restart sodbench-swtpm.service")
        done = self.say("enrol", host, "--renew")
        assert done.status == 0, done


@pytest.fixture(scope="package")
def trust(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    """Both hosts enrolled, reference values of both and of the guest recorded."""
    home = tmp_path_factory.mktemp("trust")
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(home)
    trust = Trust(lab)
    try:
        for arguments in (("enrol",), ("reference", "a", "b", "guest")):
            done = trust.say(*arguments, timeout_s=600)
            assert done.status == 0, done
        yield trust
    finally:
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before
