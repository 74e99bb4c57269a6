"""``pyinitctl health``."""

import argparse
import errno
import os

import pytest

from pyinit.ctl import health, published


def test_what_the_system_refuses_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the number of the error."""

    def fails(pid: int) -> published.Counters:
        raise OSError(errno.EIO, os.strerror(errno.EIO), f"/proc/{pid}/fd")

    monkeypatch.setattr(published, "read", fails)
    assert health.run(argparse.Namespace(pid=1)) == 1
    assert capfd.readouterr().out == f"unhealthy: {os.strerror(errno.EIO)}\n"
