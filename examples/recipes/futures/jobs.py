"""Works off a list of jobs in a pool of processes, and survives the death of a worker.

    python3 jobs.py JOBS SECONDS

SIGTERM ends it: the jobs that are running finish, no other one begins, and the exit status is 0.
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
    """What SIGTERM does: no more than to tell the loops."""
    global stopping
    stopping = True


def job(number: int, seconds: float) -> None:
    """So many seconds of work."""
    print(f"job {number}: started", flush=True)
    time.sleep(seconds)


def work_off(jobs: deque[int], seconds: float) -> None:
    """Run the jobs in a pool; when that breaks, those that were lost are put back."""
    running: dict[Future[None], int] = {}
    # A worker that was forked would have the handler of SIGTERM, and a broken pool could not end it.
    with ProcessPoolExecutor(WORKERS, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL)) as executor:
        try:
            while running or (jobs and not stopping):
                # No more than can run: what the pool has been given, it begins.
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
    """Go on with a new pool until all is done."""
    signal.signal(signal.SIGTERM, stop)
    jobs = deque(range(count))
    while jobs and not stopping:
        work_off(jobs, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
