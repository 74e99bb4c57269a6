"""Programs on a terminal of their own, started with pexpect."""

import contextlib

import psutil
from pexpect import spawn


def end(child: "spawn[str]") -> None:
    """Kill a program and its descendants, and wait for it: pexpect itself gives it a tenth of a second, and then fails.

    To learn how a program ends by itself, use `spawn.wait`, for the same reason.
    """
    if child.isalive():
        leader = psutil.Process(child.pid)
        for process in [*leader.children(recursive=True), leader]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()
    child.close()
