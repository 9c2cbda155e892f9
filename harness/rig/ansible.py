"""Ansible through ansible-runner, whose records on the disk have no value of the caller's environment.

Those are whatever the caller has set, passwords and keys of clouds included, and artifacts are passed on with
a run. ansible-runner writes them to the file ``command`` of its artifacts before it starts Ansible. Here the
file's name leads to memory while it does, and a copy without the values takes the name afterwards. A
controller that is killed meanwhile leaves a link that leads nowhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import ansible_runner

from harness.files import write_json
from harness.json_types import Json


def run(
    playbook: Path,
    inventory: Path,
    scratch: Path,
    *,
    environment: Mapping[str, str],
    on_event: Callable[[Mapping[str, Any]], bool],
    artifacts: Path | None = None,
    variables: Mapping[str, Json] | None = None,
    settings: Mapping[str, Json] | None = None,
    **more: float,
) -> ansible_runner.Runner:
    """Run `playbook` over `inventory`, to its end.

    Args:
        playbook: Its file.
        inventory: A file or a folder, as a whole path.
        scratch: A folder of this run's own, which its caller removes.
        environment: What Ansible's programs have besides the caller's own environment.
        on_event: Told of each event; True keeps it in the artifacts.
        artifacts: Folder for ansible-runner's output; in `scratch` where None.
        variables: Extra variables. They are written down and must hold no secret.
        settings: Settings of ansible-runner.
        more: Further arguments of :func:`ansible_runner.run`.
    """
    kept, ident = (artifacts or scratch / "artifacts").absolute(), str(uuid4())
    (scratch / "env").mkdir()
    for name, values in (("extravars", variables), ("settings", settings)):
        if values:
            write_json(scratch / "env" / name, dict(values))
    with _in_memory(kept / ident / "command"):
        return ansible_runner.run(
            private_data_dir=str(scratch),
            artifact_dir=str(kept),
            ident=ident,
            playbook=str(playbook),
            inventory=str(inventory),
            envvars=dict(environment),
            event_handler=on_event,
            # Otherwise the environment is written to scratch.
            suppress_env_files=True,
            quiet=True,
            **more,
        )


@contextmanager
def _in_memory(file: Path) -> Iterator[None]:
    """Let what is written to `file` be kept in memory; the names of its environment stay in it afterwards."""
    file.parent.mkdir(mode=0o700, parents=True)
    memory = os.memfd_create(file.name)
    place = Path(f"/proc/{os.getpid()}/fd/{memory}")
    try:
        file.symlink_to(place)
        try:
            yield
        finally:
            file.unlink()
            if written := place.read_bytes():  # nothing, where ansible-runner did not come so far
                said = json.loads(written)
                write_json(file, {**said, "env": sorted(said["env"])})
                file.chmod(0o600)
    finally:
        os.close(memory)
