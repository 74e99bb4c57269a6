"""The health check: fails unless the web server answers."""

import socket
import sys

with socket.create_connection(("127.0.0.1", 8000), timeout=5) as connection:
    connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    status, *_ = connection.makefile("rb")
    print(status.decode(), end="")
    sys.exit(b" 200 " not in status)
