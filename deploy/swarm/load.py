"""Sends 15 requests a second until SIGTERM, two minutes at most, and counts: `python3 load.py HOST PORT`.

Each second that is five pages, six reports and four orders, each on a connection of its own, to one of the
addresses that the name has at that moment. Who gets no connection has sent nothing, and tries again, as a proxy tries
the next server. A request that has been sent has no second try: if it is not answered whole, with status 200 and
within 20 seconds, it is lost.
"""

import http.client
import json
import random
import signal
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

A_SECOND = ["/", "/report", "/orders", "/report", "/"] * 2 + ["/", "/report", "/orders", "/report", "/orders"]
SECONDS_AT_MOST = 120
SECONDS_TO_CONNECT = 1
SECONDS_TO_ANSWER = 20
TRIES = 10
SECONDS_BETWEEN_TRIES = 0.2


def main(host: str, port: int) -> None:
    """Send until the signal comes, wait for the answers, and print what came of the requests as JSON."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("sending", flush=True)
    begin = time.monotonic()
    with ThreadPoolExecutor(max_workers=200) as threads:
        results = []
        for number in range(SECONDS_AT_MOST * len(A_SECOND)):
            results.append(threads.submit(ask, host, port, A_SECOND[number % len(A_SECOND)]))
            pause = begin + len(results) / len(A_SECOND) - time.monotonic()
            if signal.sigtimedwait({signal.SIGTERM}, max(pause, 0)):
                break
    print(json.dumps(Counter(result.result() for result in results)), flush=True)


def ask(host: str, port: int, path: str) -> str:
    """What came of a request: `answered`, or what happened instead."""
    try:
        connection = connect(host, port)
    except OSError as error:
        return f"{path}: not sent: {error}"
    try:
        connection.request("POST" if path == "/orders" else "GET", path)
        response = connection.getresponse()
        response.read()
        return "answered" if response.status == 200 else f"{path}: status {response.status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: sent, then {error!r}"
    finally:
        connection.close()


def connect(host: str, port: int, tries: int = TRIES) -> http.client.HTTPConnection:
    """A connection to one of the name's addresses.

    Raises:
        OSError: there was none, and this is what the last try said.
    """
    try:
        *_, address = random.choice(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        connection = http.client.HTTPConnection(str(address[0]), port, timeout=SECONDS_TO_CONNECT)
        connection.connect()
    except OSError:
        if tries == 1:
            raise
        time.sleep(SECONDS_BETWEEN_TRIES)
        return connect(host, port, tries - 1)
    connection.sock.settimeout(SECONDS_TO_ANSWER)
    return connection


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
