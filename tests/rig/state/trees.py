"""Trees of the kernel's files, from `trees/*.json`: a root folder that a program is given instead of ``/``.

``cloud-vm`` was recorded from a virtual machine. The others are of the forms that the kernel's documents give
(``Documentation/ABI/testing/sysfs-devices-system-cpu``, ``admin-guide/pm``).
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).with_name("trees")
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def make(name: str, root: Path) -> Path:
    """The tree of that name under `root`."""
    for path, text in json.loads((FOLDER / f"{name}.json").read_text()).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root
