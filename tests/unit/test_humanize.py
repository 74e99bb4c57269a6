"""Quantities as text for people."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit.reporting import humanize

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0404, "40ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (1, "1.0s"),
        (3.21, "3.2s"),
        (59.94, "59.9s"),
        (59.96, "1m"),
        (60, "1m"),
        (180, "3m"),
        (192, "3m12s"),
        (3599.9, "59m59s"),
        (3600, "1h00m"),
        (5 * 3600 + 7 * 60 + 59, "5h07m"),
        (47 * 3600 + 59 * 60, "47h59m"),
        (48 * 3600, "2d0h"),
        (12 * 86400 + 3 * 3600, "12d3h"),
    ],
)
def test_a_duration_has_about_two_digits(seconds: float, text: str) -> None:
    """The unit depends on the length."""
    assert humanize.duration(seconds) == text


@given(seconds=st.floats(0, 1e9))
def test_a_duration_is_accurate(seconds: float) -> None:
    """To within 2.5 %, or half a millisecond."""
    parts = re.findall(r"([\d.]+)(ms|[smhd])", humanize.duration(seconds))
    assert "".join(number + unit for number, unit in parts) == humanize.duration(seconds)
    said = sum(float(number) * UNITS[unit] for number, unit in parts)
    assert abs(said - seconds) <= max(0.0006, seconds / 40)


def test_a_count_is_singular_or_plural() -> None:
    """The plural has an s, unless another one is given."""
    assert humanize.count(1, "orphan") == "1 orphan"
    assert humanize.count(0, "orphan") == "0 orphans"
    assert humanize.count(2, "child", "children") == "2 children"
    assert humanize.count(1, "child", "children") == "1 child"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 MiB"), (2**20, "1 MiB"), (2**33 - 1, "8192 MiB"), (2**33, "8.0 GiB")]
)
def test_a_size_is_in_mebibytes_or_gibibytes(number: int, text: str) -> None:
    """The argument is in bytes."""
    assert humanize.size(number) == text
