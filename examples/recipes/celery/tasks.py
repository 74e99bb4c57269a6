"""Tasks that keep a diary in Redis: which of them began, and which finished.

What to see: a worker that is stopped finishes the tasks that it has begun, and leaves the others to the next worker.
"""
# mypy: disable-error-code="untyped-decorator"

import os

from celery import Celery
from redis import Redis

URL = os.environ.get("REDIS_URL", "redis://localhost")

app = Celery("tasks", broker=URL, backend=URL)
app.conf.worker_soft_shutdown_timeout = 2  # seconds; applies only to SIGQUIT
diary = Redis.from_url(URL, socket_timeout=None)


def do(number: int, seconds: float) -> int:
    """Work for `seconds`, or until something is pushed to the list `hurry`."""
    diary.rpush("begun", number)
    diary.blpop(["hurry"], timeout=seconds)
    diary.rpush("finished", number)
    return number


@app.task
def work(number: int, seconds: float) -> int:
    """The default: the broker forgets a task when it begins, so it is lost if its process dies."""
    return do(number, seconds)


@app.task(acks_late=True, reject_on_worker_lost=True)
def careful_work(number: int, seconds: float) -> int:
    """For work that may be done twice: the broker forgets the task when it has finished."""
    return do(number, seconds)
