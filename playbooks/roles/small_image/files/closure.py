"""Runs in the root that the packages were unpacked into: lists the files that the attester's Python loads.

Prints one path a line. The caller adds the libraries that these need in turn.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

ATTESTER = Path("/opt/sodbench/attester")
PROGRAMS = (sys.executable,)
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
OPENED = ("libtss2-tcti-device.so.0", "ossl-modules/legacy.so")
"""Libraries that are opened by name: the TPM's TCTI, and the OpenSSL module that `cryptography` loads."""
LOADED_LATER = ("encodings", "stringprep", "unicodedata")
"""Modules that Python imports by a name that it computes at run time."""


def main() -> None:
    """Import the attester and list what was loaded."""
    sys.path.insert(0, str(ATTESTER))
    for path in sorted(ATTESTER.glob("*.py")):
        importlib.import_module(path.stem)
    for name in LOADED_LATER:
        module = importlib.import_module(name)
        for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if inner.name not in ("mbcs", "oem"):
                importlib.import_module(f"{name}.{inner.name}")
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files = {path for path in loaded if path and path != __file__}
    libraries = [next(LIBRARIES.glob(pattern)) for pattern in OPENED]
    for path in sorted({*files, *PROGRAMS, *map(str, libraries)}):
        print(path)


if __name__ == "__main__":
    main()
