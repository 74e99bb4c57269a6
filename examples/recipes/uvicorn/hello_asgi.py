"""A slow ASGI application: /?3 sends half of the answer at once, and the rest three seconds later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

GREETING = b"hello\n"
FAREWELL = b"goodbye\n"


async def app(scope: dict[str, Any], receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer a request."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(GREETING + FAREWELL))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": GREETING, "more_body": True})
    await asyncio.sleep(float(scope["query_string"] or 0))
    await send({"type": "http.response.body", "body": FAREWELL})
