"""Works on two orders at a time, as a daemon: `python3 worker.py SPOOL`.

An order is an empty file: `ID.new`, then `ID.HOST.begun`, and two seconds later `ID.HOST.done`. One that was begun and
is never done has been killed.

It is built like Celery's worker with `--detach`: a master in the background, without a parent, and its pool. On SIGTERM
the master has the pool finish the orders at hand and begin no other. A process of the pool that is sent SIGTERM dies.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

PROCESSES = 2
SECONDS_FOR_AN_ORDER = 2
HOST = os.uname().nodename


def main(spool: Path) -> None:
    """Until SIGTERM, and the end of the orders at hand."""
    detach()
    read, write = os.pipe()
    lifeline = os.fdopen(write, "wb")
    pool = []
    for _ in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            lifeline.close()
            work(spool, read)
            os._exit(0)
        pool.append(pid)
    signal.signal(signal.SIGTERM, lambda *_: lifeline.close())
    for pid in pool:
        os.waitpid(pid, 0)


def detach() -> None:
    """Go on in the background, in a session of its own and without a parent: daemon(7)."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)


def work(spool: Path, pipe: int) -> None:
    """One order after the other, until the master closes its end of the pipe."""
    while not select.select([pipe], [], [], 0)[0]:
        if not any(work_on(order) for order in spool.glob("*.new")):
            time.sleep(0.1)


def work_on(order: Path) -> bool:
    """Do the work, unless another process does."""
    begun = order.with_suffix(f".{HOST}.begun")
    try:
        order.rename(begun)
    except FileNotFoundError:
        return False
    time.sleep(SECONDS_FOR_AN_ORDER)
    begun.rename(begun.with_suffix(".done"))
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
