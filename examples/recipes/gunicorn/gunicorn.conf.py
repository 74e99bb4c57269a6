"""Read by gunicorn at the start, and again at every SIGHUP."""

from typing import Any

bind = "0.0.0.0:8000"
workers = 2
worker_class = "sync"

# Less than the grace period of `docker stop`, which is 10 seconds.
graceful_timeout = 8

# A file system in memory: there on a read-only root, too, and a busy disk does not hold up the workers' heartbeat.
worker_tmp_dir = "/dev/shm"
pidfile = "/dev/shm/gunicorn.pid"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Say when a worker serves: from then on it ends its requests before it goes."""
    worker.log.info("Serving (pid: %s)", worker.pid)
