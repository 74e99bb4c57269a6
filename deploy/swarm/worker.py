"""A daemon that processes two orders at a time: `python3 worker.py SPOOL`.

An order is an empty file: `ID.new`, then `ID.HOST.begun`, and two seconds later `ID.HOST.done`. If an order was begun
and never done, the process that worked on it was killed.

It is built like `celery worker --detach`: a master in the background, without a parent, and its pool. On SIGTERM, the
master lets the pool finish the current orders and begin no others. SIGTERM kills a process of the pool.
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
    """Process orders until SIGTERM, and finish the current ones."""
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
    """Continue in the background, in a new session and without a parent: daemon(7)."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)


def work(spool: Path, pipe: int) -> None:
    """Process one order after the other, until the master closes its end of the pipe."""
    while not select.select([pipe], [], [], 0)[0]:
        if not any(work_on(order) for order in spool.glob("*.new")):
            time.sleep(0.1)


def work_on(order: Path) -> bool:
    """Process the order; return False if another process has taken it."""
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
