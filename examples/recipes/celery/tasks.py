"""Tasks that keep a diary in Redis: which were begun, and which were finished.

What to see: a worker that is stopped finishes what it has begun, and leaves the rest to the next one.
"""
# mypy: disable-error-code="untyped-decorator"

import os

from celery import Celery
from redis import Redis

URL = os.environ.get("REDIS_URL", "redis://localhost")

app = Celery("tasks", broker=URL, backend=URL)
app.conf.worker_soft_shutdown_timeout = 2  # seconds; counts for SIGQUIT alone
diary = Redis.from_url(URL, socket_timeout=None)


def do(number: int, seconds: float) -> int:
    """Take so long, or until somebody puts something on the list `hurry`."""
    diary.rpush("begun", number)
    diary.blpop(["hurry"], timeout=seconds)
    diary.rpush("finished", number)
    return number


@app.task
def work(number: int, seconds: float) -> int:
    """The default: a task leaves the broker when it begins, and is lost if its process dies."""
    return do(number, seconds)


@app.task(acks_late=True, reject_on_worker_lost=True)
def careful_work(number: int, seconds: float) -> int:
    """For what may be done twice: the task leaves the broker when it is finished."""
    return do(number, seconds)
