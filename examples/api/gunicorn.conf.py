"""For a gunicorn that may be PID 1 of its container. gunicorn reads this file before it listens or starts a worker."""

import pyinit

pyinit.relaunch_if_pid1(stop_timeout=6, drain_timeout=1)

bind = "0.0.0.0:8000"
workers = 2
