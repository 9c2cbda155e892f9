"""Where the user's own files are, which outlive every run: keys, the registry, what is known of images."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """The user's data folder of sodbench (XDG Base Directory Specification); it need not be there."""
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".local/share") / "sodbench"
