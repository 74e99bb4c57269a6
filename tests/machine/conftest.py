"""Tests that need a machine with systemd: `make machine TESTS=tests/machine`."""

from pathlib import Path

import pytest

from tests.namespace.conftest import bin_folder, launcher  # noqa: F401 - as it is installed there


@pytest.fixture(scope="session", autouse=True)
def systemd() -> None:
    """Fail unless systemd is the machine's init."""
    assert Path("/run/systemd/system").is_dir(), "systemd is not running here: make machine TESTS=tests/machine"
