"""How tests are shared out among processes: what shares costly fixtures stays in one, the longest begin."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/report/",)
"""Folders whose files look at the same reports; each process would draw its own."""

BUILDERS = ("tests/lab/test_lifecycle.py", "tests/playbooks/test_second_run.py")
"""They build a machine of the lab again, which takes the saved guests with it, and provision all of them:
guests that are saved later stay for all."""

LONGEST = (
    "tests/played/test_deaths.py",
    "tests/report/",
    "tests/supply/",
    "tests/playbooks/",
    "tests/played/test_kills.py",
    "tests/registry/",
    "tests/attest/adversary/",
    "tests/cli/",
    "tests/migration/test_evidence_properties.py",
    "tests/test_reference.py",
    "tests/fuzz/",
    "tests/played/",
)
"""Where the longest tests are: a core would be idle while another runs one that began last."""

_BEGIN = (*BUILDERS, *LONGEST)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests run in one process, and so do those of a folder that shares what it makes."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def rank(nodeid: str) -> int:
    """Where a test's file stands among those that begin; all others come after them, as they were."""
    return next((at for at, start in enumerate(_BEGIN) if nodeid.startswith(start)), len(_BEGIN))
