"""Writes the ELF file in a bzImage: QEMU boots it directly (PVH), so that no emulated CPU has to unpack it.

Arguments: the bzImage, and the file to write. A kernel that is compressed in another way is copied unchanged.
Source: Linux, Documentation/arch/x86/boot.rst, payload_offset and payload_length.
"""

import struct
import subprocess
import sys
from pathlib import Path

SECTOR = 512
UNPACKED_BY = {b"\x02\x21\x4c\x18": "lz4", b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz"}
SIZE_BYTES = 4
"""The payload ends with its unpacked size."""


def main() -> None:
    """Unpack the first argument into the second."""
    image, out = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (image[0x1F1] + 1) * SECTOR + offset
    payload = image[begin : begin + length - SIZE_BYTES]
    tool = next((tool for magic, tool in UNPACKED_BY.items() if payload.startswith(magic)), None)
    if tool is None:
        out.write_bytes(image)
        return
    done = subprocess.run([tool, "-d", "-c"], input=payload, stdout=subprocess.PIPE, check=True)
    out.write_bytes(done.stdout)


if __name__ == "__main__":
    main()
