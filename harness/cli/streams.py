"""Makes this process's environment and streams fit to print with, before anything is printed."""

from __future__ import annotations

import io
import os
import shutil
import sys

_HELP_WIDTH = 80


def prepare() -> None:
    """Make this process's environment and streams fit to print with, the help of the verbs included.

    With a width that is not a number above 0, such as ``COLUMNS=0``, nothing would be printed at all; a
    character that the stream's encoding lacks is written as an escape. Help has columns that are cut where
    they do not fit, so that it is never made for less than :data:`_HELP_WIDTH`.
    """
    if not os.environ.get("COLUMNS", "1").strip("0").isdecimal():
        del os.environ["COLUMNS"]
    if shutil.get_terminal_size().columns < _HELP_WIDTH:
        os.environ["TERMINAL_WIDTH"] = str(_HELP_WIDTH)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
