"""A small web service that leaves an orphan at every request, as headless Chromium's crash handlers do.

    python3 leaky_web.py PORT      # port 0: any free port

What to see: request `/` a few times, then `/processes`. Without an init, the service is PID 1. It inherits all orphans,
and collects one zombie per request. Under pyinit there are no zombies.
"""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import ps

# The shell starts `sleep` in the background and exits. That makes `sleep` an orphan, which exits a moment later.
HELPER = ["sh", "-c", "sleep 0.1 &"]


class Handler(BaseHTTPRequestHandler):
    """`/processes` lists the processes that the service sees; every other path leaves an orphan."""

    def do_GET(self) -> None:
        if self.path == "/processes":
            text = ps.listing()
        else:
            subprocess.run(HELPER, check=True)
            text = "done, and left an orphan behind"
        body = f"{text}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def main(port: int) -> None:
    """Serve until a signal ends the process."""
    with HTTPServer(("", port), Handler) as server:
        print(f"listening on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
