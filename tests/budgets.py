"""How much of a costly property is tried where: some of it in `make unit`, all of it in `make programs`."""

from __future__ import annotations

import pytest


def examples(some: int, whole: int) -> pytest.MarkDecorator:
    """Run a test with `some` examples, and as a long one with the `whole` number of them."""
    return pytest.mark.parametrize("examples", [some, pytest.param(whole, marks=pytest.mark.long)])
