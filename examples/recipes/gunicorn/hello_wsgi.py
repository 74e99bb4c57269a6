"""A slow WSGI application: /?3 sends half of the answer at once, and the rest three seconds later."""

import time
from collections.abc import Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

GREETING = b"hello\n"
FAREWELL = b"goodbye\n"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Answer a request."""
    length = str(len(GREETING + FAREWELL))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    yield GREETING
    time.sleep(float(environ["QUERY_STRING"] or 0))
    yield FAREWELL
