"""A service that saves its work to a journal on SIGTERM: ``service.py NAME``."""

import signal
import sys
import time

name = sys.argv[1]
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(f"{name}: ready", flush=True)
signal.sigwait({signal.SIGTERM})
time.sleep(0.5)
with open("journal", "a") as journal:
    journal.write(f"{name}: saved\n")
