"""A job that saves its work when it is stopped: ``report.py NAME``. The container's environment sets CUSTOMER."""

import os
import signal
import sys
import time

name = sys.argv[1]
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(f"{name}: at work for {os.environ.get('CUSTOMER', 'nobody')}", flush=True)
if signal.sigtimedwait({signal.SIGTERM}, 60):  # a minute of work, unless it is stopped
    time.sleep(1)
    print(f"{name}: saved what it had", flush=True)
