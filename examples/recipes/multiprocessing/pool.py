"""Runs tasks in a pool of processes that share a block of memory.

    python3 pool.py fork|forkserver|spawn

On SIGTERM it finishes the running tasks, closes the pool, and exits with 0.
"""

import multiprocessing
import signal
import sys
import time
from multiprocessing.shared_memory import SharedMemory

WORKERS = 2
stopping = False


def stop(*_: object) -> None:
    """The handler of SIGTERM: set the flag that ends the loop."""
    global stopping
    stopping = True


def task(name: str) -> int:
    """A second of work on the shared block."""
    print("task: started", flush=True)
    block = SharedMemory(name)
    time.sleep(1)
    total = sum(block.buf or b"")
    block.close()
    return total


def main(method: str) -> None:
    """Run rounds of tasks until SIGTERM."""
    signal.signal(signal.SIGTERM, stop)
    context = multiprocessing.get_context(method)
    block = SharedMemory(create=True, size=1000)
    # A forked worker inherits the handler above. Reset it, so that SIGTERM can end the worker.
    with context.Pool(WORKERS, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL)) as pool:
        while not stopping:
            for total in pool.imap_unordered(task, [block.name] * WORKERS):
                print(f"task: done, {total}", flush=True)
        pool.close()
        pool.join()
    block.close()
    block.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
