"""Archives of mstone's and Faban's layout, made up here, that are as particular as the real ones.

mstone's is a CMake project that names no language and has a C++ source; its mail client looks tcp up. Faban's
fhb starts a launcher in a JVM of 2 MiB, which starts a driver; the driver reads its run file strictly, makes
a Java method of each operation, compiles the class and writes its result files. Their sources are in
``made_up/``.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

SOURCES = Path(__file__).parent / "made_up"


def mstone_sources() -> Mapping[str, bytes]:
    """A distribution of sources."""
    folder = SOURCES / "mstone"
    return {
        f"mstone-4.9.4/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def mstone_binaries() -> Mapping[str, bytes]:
    """A distribution that is built."""
    folder = SOURCES / "mstone"
    kept = ("bin/mailmaster.pl", "conf/general.wld.in", "mstone")
    return {
        "mstone/bin/mailclient": b"#!/bin/sh\n",
        **{f"mstone/{name}": (folder / name).read_bytes() for name in kept},
    }


def faban_kit(folder: Path) -> Mapping[str, bytes]:
    """A kit whose launcher and driver are compiled in `folder`."""
    sources = sorted(str(path) for path in (SOURCES / "faban").glob("*.java"))
    subprocess.run(["javac", "-d", str(folder), *sources], check=True)
    classes = {f"faban/lib/{path.name}": path.read_bytes() for path in folder.glob("*.class")}
    return {"faban/bin/fhb": (SOURCES / "faban/fhb").read_bytes(), **classes}


def faban_that_prints(*words: str) -> Mapping[str, bytes]:
    """A kit whose fhb only prints `words`, shell variables in them as it has them."""
    return {"faban/bin/fhb": f'#!/bin/sh\necho "{"|".join(words)}"\n'.encode(), "faban/lib/made-up.jar": b""}


def archive(path: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write a tar archive; the inventory's variable for it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(content)
            tar.addfile(member, io.BytesIO(content))
    return {"source": path.name, "checksum": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}
