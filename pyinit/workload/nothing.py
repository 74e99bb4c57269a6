"""In place of a workload, for ``--pause``: pyinit itself."""

import posix
import time


class Nothing:
    """What `process.Workload` says of a workload, where there is none."""

    name = "pause"
    leads_session = takes_terminal = False

    def __init__(self) -> None:
        self.pid = posix.getpid()
        self.started = time.monotonic()
