"""The cure inside the parent: reap every child in a handler of SIGCHLD.

    python3 reaps_on_sigchld.py &
    sleep 1; ps -o pid,ppid,stat,command --ppid $!

What to see: three children end one after the other, and none is left as a zombie. One signal may stand for many
children that ended meanwhile (signals do not queue), so the handler asks until nobody is left.
"""

import multiprocessing
import os
import signal
import time
from types import FrameType


def reap(_number: int, _frame: FrameType | None) -> None:
    """Wait for every child that has ended, without blocking."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # no child at all
        if pid == 0:
            return  # those that are left still run
        print(f"parent: reaped pid {pid}, exit status {os.waitstatus_to_exitcode(status)}", flush=True)


def main() -> None:
    """Start three children, and do something else for ever."""
    signal.signal(signal.SIGCHLD, reap)
    fork = multiprocessing.get_context("fork")
    for number in range(1, 4):
        fork.Process(target=time.sleep, args=(number / 10,)).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
