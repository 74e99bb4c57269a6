"""The fix in the parent: a SIGCHLD handler that reaps every child.

    python3 reaps_on_sigchld.py &
    sleep 1; ps -o pid,ppid,stat,command --ppid $!

What to see: three children exit one after the other, and none of them stays a zombie. Signals do not queue, so one
SIGCHLD may stand for many children. That is why the handler loops until no zombie is left.
"""

import multiprocessing
import os
import signal
import time
from types import FrameType


def reap(_number: int, _frame: FrameType | None) -> None:
    """Reap every child that has exited, without blocking."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # there are no children
        if pid == 0:
            return  # the remaining children still run
        line = f"parent: reaped pid {pid}, exit status {os.waitstatus_to_exitcode(status)}\n"
        os.write(1, line.encode())  # not print(): the next SIGCHLD may interrupt this handler


def main() -> None:
    """Start three children, and sleep for ever."""
    signal.signal(signal.SIGCHLD, reap)
    fork = multiprocessing.get_context("fork")
    for number in range(1, 4):
        fork.Process(target=time.sleep, args=(number / 10,)).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
