"""Runs the same leaky web service with and without pyinit, and prints both process lists side by side.

    make demo

What to see: on the left the service is PID 1, and every request has left a zombie. On the right pyinit is PID 1, and
there are no zombies. It needs only Python and util-linux: of a container, it uses only the PID namespace.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from urllib.request import urlopen

EXAMPLES = Path(__file__).resolve().parent
REQUESTS = 8
SECONDS_TO_SETTLE = 60


def main() -> None:
    """Run the service both ways, send it some requests, and print the processes that it sees."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = f"{folder}/pyinit"
        install = [sys.executable, "-m", "pyinit.ctl", "install", launcher]
        subprocess.run(install, cwd=EXAMPLES.parent, check=True, stdout=subprocess.DEVNULL)
        with service([]) as without, service([launcher, "--"]) as with_pyinit:
            lists = [processes_after_requests(without, REQUESTS), processes_after_requests(with_pyinit, 0)]
    left, right = ([line.replace(sys.executable, "python3").replace(launcher, "pyinit") for line in it] for it in lists)
    print(f"{REQUESTS} requests to the same service, each of which left an orphan behind:\n")
    print_side_by_side(["WITHOUT AN INIT", *left], ["UNDER PYINIT", *right])


@contextmanager
def service(init: list[str]) -> Iterator[int]:
    """Run the leaky service under `init` in a new PID namespace; yield its port."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    command = [*unshare, *init, sys.executable, "leaky_web.py", "0"]
    process = subprocess.Popen(command, cwd=EXAMPLES, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"demo: the service did not start: {' '.join(command)}")
        yield int(line.split()[-1])
    finally:
        process.kill()  # kills unshare, its child (--kill-child), and with that child the whole namespace
        process.wait()


def processes_after_requests(port: int, zombies: int) -> list[str]:
    """Send the requests, wait until only `zombies` are left of their orphans, and return the service's process list."""
    for _ in range(REQUESTS):
        ask(port, "/")
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while True:
        lines = ask(port, "/processes").splitlines()
        left = [line.endswith("[sleep] <defunct>") for line in lines if "sleep" in line]
        if left == [True] * zombies or time.monotonic() > deadline:
            return lines
        time.sleep(0.02)


def ask(port: int, path: str) -> str:
    """The body of the answer."""
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return str(answer.read().decode())


def print_side_by_side(left: list[str], right: list[str]) -> None:
    """Print two columns, each half as wide as the terminal."""
    width = shutil.get_terminal_size((120, 24)).columns // 2 - 2
    for one, other in zip_longest(left, right, fillvalue=""):
        print(f"{one[:width]:<{width}} | {other[:width]}".rstrip())


if __name__ == "__main__":
    main()
