#!/bin/sh
# Starts the queue worker, which detaches itself, and the web server. Without `exec` the shell stays the main process,
# and SIGTERM kills it at once.
set -eu
python3 worker.py /spool
gunicorn --bind=0.0.0.0:8000 --worker-class=gthread --threads=32 \
    --worker-tmp-dir=/dev/shm --no-control-socket app:application
