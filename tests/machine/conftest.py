"""What runs in a machine with systemd only: `make machine TESTS=tests/machine`."""

from pathlib import Path

import pytest

from tests.namespace.conftest import bin_folder, launcher  # noqa: F401 - as it is installed there


@pytest.fixture(scope="session", autouse=True)
def systemd() -> None:
    """It has to be the machine's init."""
    assert Path("/run/systemd/system").is_dir(), "systemd does not run here: make machine TESTS=tests/machine"
