"""gunicorn reads this file at the start and at every SIGHUP."""

from typing import Any

bind = "0.0.0.0:8000"
workers = 2
worker_class = "sync"

# Less than the grace period of `docker stop`, which is 10 seconds.
graceful_timeout = 8

# A file system in memory: writable even with a read-only root, and a busy disk does not delay the workers' heartbeat.
worker_tmp_dir = "/dev/shm"
pidfile = "/dev/shm/gunicorn.pid"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Log when a worker serves: from then on it finishes its requests before it exits."""
    worker.log.info("Serving (pid: %s)", worker.pid)
