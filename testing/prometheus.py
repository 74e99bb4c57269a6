"""Prometheus, promtool and the node exporter: Debian's, as plain programs."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testing.roots import Root
from testing.waiting import eventually

PACKAGES = Root("trixie", ("prometheus", "prometheus-node-exporter"), options=("--variant=extract",))
"""Not a whole system: the packages are only unpacked. Their programs need nothing but glibc 2.34 or later."""


def program(name: str) -> Path:
    """The path of a program of theirs."""
    return PACKAGES.folder() / "usr" / "bin" / name


def promtool(*arguments: str | Path, input: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run promtool to its end; both its outputs are in `stdout`."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def listening(log: Path, name: str, *arguments: str) -> Iterator[str]:
    """Run one of the servers on a free port as long as the context lasts; yields its address."""
    with log.open("w") as output:
        server = subprocess.Popen(
            [program(name), "--web.listen-address=127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:

        def address() -> str:
            assert server.poll() is None, log.read_text()
            found = re.search(r'"?Listening on"? address=(\S+)', log.read_text())
            return found[1] if found else ""

        yield eventually(address, f"{name} to listen")
    finally:
        server.terminate()
        server.wait()
