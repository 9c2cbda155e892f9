"""The form of JSON from elsewhere, looked at before it is read.

JSON of many small parts takes some twenty times its size once it is read, and a hundred times and more once a
model has complained of each part. What programs write to each other has few parts, and the long ones are
base64.
"""

from __future__ import annotations


def require_few_parts(text: str | bytes, most: int) -> None:
    """Refuse JSON of more than `most` parts, by the marks that divide it.

    Raises:
        ValueError: It has more.
    """
    if isinstance(text, str):
        parts = sum(map(text.count, ",:[{"))
    else:
        parts = sum(map(text.count, (b",", b":", b"[", b"{")))
    if parts > most:
        raise ValueError(f"{parts} parts, where there are at most {most}")
