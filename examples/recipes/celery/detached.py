"""The same tasks for a worker whose pool may be sent SIGTERM together with it: the pool leaves that to the worker."""
# mypy: disable-error-code="untyped-decorator"

import signal
from typing import Any

from celery.signals import worker_process_init
from tasks import app

__all__ = ["app"]


@worker_process_init.connect
def ignore_term(**_: Any) -> None:
    """Go on with the task: the worker has got SIGTERM, too, and ends its pool when that has nothing more to do."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
