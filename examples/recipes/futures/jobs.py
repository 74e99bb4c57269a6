"""Runs a list of jobs in a pool of processes, and survives the death of a worker.

    python3 jobs.py JOBS SECONDS

On SIGTERM it finishes the running jobs, begins no others, and exits with 0.
"""

import signal
import sys
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

WORKERS = 2
stopping = False


def stop(*_: object) -> None:
    """The handler of SIGTERM: set the flag that ends the loops."""
    global stopping
    stopping = True


def job(number: int, seconds: float) -> None:
    """Work for `seconds`."""
    print(f"job {number}: started", flush=True)
    time.sleep(seconds)


def work_off(jobs: deque[int], seconds: float) -> None:
    """Run the jobs in a pool. If the pool breaks, put the unfinished jobs back."""
    running: dict[Future[None], int] = {}
    # A forked worker inherits our SIGTERM handler. Reset it, so that a broken pool can terminate the worker.
    with ProcessPoolExecutor(WORKERS, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL)) as executor:
        try:
            while running or (jobs and not stopping):
                # Submit only as many as can run: the pool begins every job that it has.
                while jobs and not stopping and len(running) < WORKERS:
                    future = executor.submit(job, jobs[0], seconds)
                    running[future] = jobs.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    print(f"job {running.pop(future)}: done", flush=True)
        except BrokenProcessPool:
            jobs.extendleft(running.values())
            print("a worker died: starting a new pool", flush=True)


def main(count: int, seconds: float) -> None:
    """Run all jobs, with a new pool after one has broken."""
    signal.signal(signal.SIGTERM, stop)
    jobs = deque(range(count))
    while jobs and not stopping:
        work_off(jobs, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
