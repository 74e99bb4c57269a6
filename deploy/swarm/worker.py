"""Works on one order after the other: `python3 worker.py SPOOL`.

An order is an empty file: `ID.new`, then `ID.HOST.begun`, and two seconds later `ID.HOST.done`. On SIGTERM the one at
hand is finished and no other is begun, as task queues do. One that was begun and is never done has been killed.
"""

import os
import signal
import sys
import time
from pathlib import Path

SECONDS_FOR_AN_ORDER = 2
HOST = os.uname().nodename


def main(spool: Path) -> None:
    """Until SIGTERM, which interrupts nothing: it is looked for between two orders."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while signal.SIGTERM not in signal.sigpending():
        if not any(work_on(order) for order in spool.glob("*.new")):
            time.sleep(0.1)


def work_on(order: Path) -> bool:
    """Do the work, unless another worker does."""
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
