"""Packages: protection under the name of a purpose, each a set of options.

Options and aspects are written as on the command line. A package is expanded into options when it is
requested, so a later change of a package here does not alter earlier requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A set of options with a name.

    Attributes:
        options: As on the command line, such as ``1`` or ``2:c``.
        meaning: Whom it is for, in one line.
    """

    options: tuple[str, ...]
    meaning: str


PACKAGES: Final[Mapping[str, Package]] = MappingProxyType(
    {
        "basic": Package(
            options=("1",),
            meaning="a VM on a server with other customers' VMs (VM-A of the paper's Table II)",
        ),
        "public-service": Package(
            options=("1:i",), meaning="everything may be read, and nothing may be altered by other VMs"
        ),
        "untrusted-host": Package(
            options=("1", "2"), meaning="who runs the server is not trusted (VM-B of the paper's Table II)"
        ),
        "edge-site": Package(options=("1", "3"), meaning="the server stands where strangers can get at it"),
        "medical-records": Package(
            options=("1", "5", "6", "7"),
            meaning="records that not even the application may leak (section III-B)",
        ),
    }
)
"""The packages by name."""
