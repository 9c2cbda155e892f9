"""What `sodbench reproduce --smoke` and `--full` do before they judge: lab, machines and campaigns.

Each step looks at what is there first, so that the same command goes on after whatever ended it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness import resources
from harness.analysis.claims.model import Paper
from harness.campaign import file as files
from harness.campaign import plan as plans
from harness.campaign import todo
from harness.campaign.plan import Plan
from harness.campaign.todo import Step
from harness.cli.inputs import campaign_file
from harness.cli.lab import up
from harness.cli.provision import provision
from harness.cli.reproduce import Extent
from harness.cli.run import carry, resume
from harness.cli.terminal import Output
from harness.errors import IncompleteRunError, UsageError
from harness.yaml_source import read_bytes


def wanted(papers: Iterable[Paper], extent: Extent) -> Mapping[str, Plan]:
    """The campaigns that the asked claims are judged by, with their plans, in the order of the files.

    Raises:
        UsageError: The claims need none.
    """
    found: dict[str, Plan] = {}
    for paper in papers:
        for name in getattr(paper.runs, extent):
            if name in paper.campaigns:
                found[name] = plans.expand(files.load(campaign_file(name)))
    if not found:
        raise UsageError(
            f"no campaign to run for --{extent}",
            why="the claims that were asked for need no machine, or their file names no campaign",
            remedy="leave the option out and name stored runs with --from",
        )
    return found


def run(campaigns: Mapping[str, Plan], results: Path, inventory: Path | None, output: Output) -> list[str]:
    """Bring each campaign to its end; what is not valid in one, in a sentence each.

    Without an inventory the lab of this machine is used, and built where it is not up. The next call goes on
    after whatever ended this one.
    """
    steps = todo.steps(results, campaigns)
    for step in steps:
        output.say(f"{step.campaign}: {_SAYS[step.action]}{f' {step.folder}' if step.folder else ''}")
    if all(step.action == "keep" for step in steps):
        return []
    if inventory is None:
        up()
    provision(inventory)
    return [said for step in steps if (said := _carried_out(step, results, inventory))]


_SAYS = {"run": "is to be run", "resume": "goes on in", "keep": "is there already:"}


def _carried_out(step: Step, results: Path, inventory: Path | None) -> str:
    """What is not valid once the step is done; empty where all is."""
    try:
        if step.action == "resume" and step.folder is not None:
            resume(step.folder, inventory)
        elif step.action == "run":
            path = resources.campaigns() / f"{step.campaign}.yml"
            carry(read_bytes(path), path.name, inventory, results, None, path=path)
    except IncompleteRunError as error:  # what is valid can still be judged
        return f"{step.campaign}: {error.summary}"
    return ""
