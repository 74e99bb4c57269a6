"""Sends 15 requests per second until SIGTERM, for at most ten minutes, and counts them: `python3 load.py HOST PORT`.

In each second it sends five pages, six reports and four orders. Each request has its own connection, to one of the
addresses that the name has at that moment. If a connection fails, nothing has been sent yet, so it tries again, as a
proxy tries the next server. A request that has been sent is not repeated. It is lost unless the complete answer arrives
within 20 seconds with status 200.
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
SECONDS_AT_MOST = 600
SECONDS_TO_CONNECT = 1
SECONDS_TO_ANSWER = 20
TRIES = 10
SECONDS_BETWEEN_TRIES = 0.2


def main(host: str, port: int) -> None:
    """Send requests until SIGTERM, wait for the answers, and print the results as JSON."""
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
    """Send a request, and return its result: `answered`, or what happened instead."""
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
        OSError: all tries failed; this is the error of the last one.
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
