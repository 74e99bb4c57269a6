"""A script that may be PID 1 of its container: its first line makes PID 1 an init."""

import pyinit

pyinit.relaunch_if_pid1(stop_timeout=5, drain_timeout=2)

import signal  # noqa: E402 - the application's own imports come after it
import sys  # noqa: E402
import time  # noqa: E402


def stop(number: int, frame: object) -> None:
    """Finish the work when the container is stopped."""
    sys.exit()


signal.signal(signal.SIGTERM, stop)
try:
    print("working")
    while True:
        time.sleep(1)
finally:
    print("finished")
