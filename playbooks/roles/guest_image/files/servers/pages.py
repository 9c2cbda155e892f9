"""Writes the hundred static pages, 1 to 64 KiB, into the folder that is named: always the same bytes."""

import random
import sys
from pathlib import Path

TEXT = "a guest at work is moved from host to host and its users, who read such pages, ought not to notice"
PAGES = 100
SMALLEST_BYTES, LARGEST_BYTES = 1024, 65536


def page(number: int) -> str:
    """The page's HTML; its size grows geometrically with its number, as files on servers do."""
    size = round(SMALLEST_BYTES * (LARGEST_BYTES / SMALLEST_BYTES) ** (number / (PAGES - 1)))
    words = random.Random(number)
    text = f"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>{number:03}</title>\n<p>"
    while len(text) < size - 1:
        text += " ".join(words.choices(TEXT.split(), k=15)) + ".\n"
    return text[: size - 1] + "\n"


if __name__ == "__main__":
    for one in range(PAGES):
        Path(sys.argv[1], f"{one:03}.html").write_text(page(one), encoding="ascii")
