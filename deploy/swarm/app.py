"""A web service with pages, slow reports, and orders that `worker.py` processes later."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

SPOOL = Path("/spool")
SECONDS = {"/health": 0.0, "/orders": 0.0, "/report": 5.0}
SECONDS_FOR_A_PAGE = 0.3

Start = Callable[[str, list[tuple[str, str]]], object]


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """`POST /orders` puts an order into the queue, `/report` takes five seconds, any other page 0.3."""
    path = environ["PATH_INFO"]
    if path == "/orders":
        (SPOOL / f"{uuid4().hex}.new").touch()
    time.sleep(SECONDS.get(path, SECONDS_FOR_A_PAGE))
    body = f"{path} from {os.uname().nodename}\n".encode()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
