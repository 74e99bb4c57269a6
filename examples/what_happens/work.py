"""The processes of one container, their work, and their reaction to SIGTERM.

    work.py master         gives jobs to its pool of two; on SIGTERM gives no more, and waits for the pool
    work.py application    serves requests; on SIGTERM completes the current one, then saves its sessions
    work.py daemon         collects records in its own session; on SIGTERM saves them

Each records its work in the file `diary` in the working directory: `SECONDS PID NAME EVENT WORK`.
"""

import os
import signal
import sys
import time

JOB, REQUEST = 3.0, 2.0
SAVING_SESSIONS, SAVING_RECORDS = 0.5, 1.5
"""Seconds."""

asked: list[int] = []
"""The signals received."""


def note(name: str, event: str, work: str = "") -> None:
    """Write a line to the diary in one piece, since processes share it."""
    with open("diary", "ab", buffering=0) as diary:
        diary.write(f"{time.monotonic():.3f}\t{os.getpid()}\t{name}\t{event}\t{work}\n".encode())


def catch_sigterm(name: str) -> None:
    """Record each SIGTERM and go on: Python resumes an interrupted sleep (PEP 475)."""

    def handle(number: int, _: object) -> None:
        note(name, "asked")
        asked.append(number)

    signal.signal(signal.SIGTERM, handle)
    note(name, "starts")


def work_in_pool(name: str, free: int, jobs: int) -> None:
    """A pool process: report that it is free, get a job, repeat. SIGTERM kills it: it has its default action."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while os.write(free, b".") and os.read(jobs, 1):
        note(name, "begins", "job")
        time.sleep(JOB)
        note(name, "completes", "job")


def master() -> None:
    """Give out jobs until SIGTERM, then wait for the pool."""
    catch_sigterm("master")
    free, reports_free = os.pipe()
    jobs, gives_job = os.pipe()
    pool = []
    for number in (1, 2):
        if not (pid := os.fork()):
            os.close(gives_job)
            work_in_pool(f"pool {number}", reports_free, jobs)
            os._exit(0)
        pool.append(pid)
    os.close(reports_free)
    while os.read(free, 1) and not asked:
        os.write(gives_job, b".")
    os.close(gives_job)
    for pid in pool:
        os.waitpid(pid, 0)


def application() -> None:
    """Serve requests until SIGTERM, print a line for each, then save the sessions."""
    catch_sigterm("application")
    note("application", "begins", "sessions")
    while not asked:
        note("application", "begins", "request")
        time.sleep(REQUEST)
        note("application", "completes", "request")
        print("a request", flush=True)
    time.sleep(SAVING_SESSIONS)
    note("application", "completes", "sessions")
    print("the end", flush=True)


def daemon() -> None:
    """Detach, collect records until SIGTERM, and save them."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    catch_sigterm("daemon")
    note("daemon", "begins", "records")
    while not asked:
        time.sleep(0.1)
    time.sleep(SAVING_RECORDS)
    note("daemon", "completes", "records")


if __name__ == "__main__":
    {"master": master, "application": application, "daemon": daemon}[sys.argv[1]]()
