"""Works with a pool of processes that share a block of memory.

    python3 pool.py fork|forkserver|spawn

SIGTERM ends it: the tasks that are running finish, the pool is ended, and the exit status is 0.
"""

import multiprocessing
import signal
import sys
import time
from multiprocessing.shared_memory import SharedMemory

WORKERS = 2
stopping = False


def stop(*_: object) -> None:
    """What SIGTERM does: no more than to tell the loop."""
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
    """Hand out a round of tasks, and then the next."""
    signal.signal(signal.SIGTERM, stop)
    context = multiprocessing.get_context(method)
    block = SharedMemory(create=True, size=1000)
    # A worker that was forked would have the handler above, and could not be asked to go.
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
