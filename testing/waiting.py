"""Waiting for a condition."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

SLOWNESS = float(os.environ.get("SLOWNESS", "1"))
"""The factor by which everything takes longer here: more than 1 on an emulated machine."""

PATIENCE = 120.0 * SLOWNESS
"""Seconds that anything may take before a test fails; a test that passes never waits for them."""

T = TypeVar("T")


class Failed(AssertionError):
    """A program did not do what was expected; the text says what was seen."""


def eventually(
    look: Callable[[], T], what: str = "", *, holds: Callable[[T], object] = bool, patience: float = PATIENCE
) -> T:
    """Call `look` until its result `holds`; return that.

    Raises:
        Failed: it does not within `patience` seconds. The text says `what` was waited for, and what was seen last.
    """
    began = time.monotonic()
    while not holds(seen := look()):
        waited = time.monotonic() - began
        if waited > patience:
            raise Failed(f"not within {patience:g} s: {what or 'what was waited for'}; last seen:\n{seen}")
        time.sleep(max(0.01, waited / 50))  # at most 2 % late
    return seen
