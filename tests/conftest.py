"""What holds for all tests."""

import os

import pytest
from _pytest.junitxml import xml_key
from hypothesis import settings

from testing.surroundings import surroundings

WORKERS_PER_CORE = 3
"""How many tests run side by side on each core (`-n auto`): most of them wait most of the time."""

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("pyinit", deadline=None)
settings.load_profile("pyinit")


def pytest_sessionstart(session: pytest.Session) -> None:
    """With --junitxml, the results say what the tests were run on: docs/seen.md is made of them.

    record_testsuite_property(), a fixture, would not do: with pytest-xdist fixtures run where the file is not written.
    """
    if results := session.config.stash.get(xml_key, None):
        for name, value in surroundings().items():
            results.add_global_property(name, value)


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` stands for."""
    return WORKERS_PER_CORE * len(os.sched_getaffinity(0))
