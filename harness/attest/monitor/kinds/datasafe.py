"""A DataSafe server, simulated: its architecture type and nothing more.

Security on Demand names DataSafe as an architecture type of the servers it simulates, and defines no trust
evidence of it at run time. So there is nothing to look at, and nothing may be believed of such a server
because it is watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.attest.monitor.kinds.contract import ARCHITECTURE_TYPE, Means
from harness.json_types import Json


class DatasafeMonitor:
    """States the architecture's type at each boot."""

    name: ClassVar[str] = "datasafe"
    architecture: ClassVar[str] = "DataSafe"
    simulated: ClassVar[bool] = True

    def __init__(self, subject: str, means: Means) -> None:
        self._subject = subject
        self._means = means

    def boot_properties(self) -> Mapping[str, Json]:
        """The architecture's type."""
        return {ARCHITECTURE_TYPE: self.architecture}

    def observe(self) -> None:
        """Nothing: there is no evidence of this architecture at run time."""
