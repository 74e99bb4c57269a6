#!/bin/sh
# The queue's worker, detached, and the web server: without `exec`, so that the shell waits for it, and dies of a SIGTERM at once.
set -eu
python3 worker.py /spool
gunicorn --bind=0.0.0.0:8000 --worker-class=gthread --threads=32 \
    --worker-tmp-dir=/dev/shm --no-control-socket app:application
