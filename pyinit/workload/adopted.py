"""A workload that exists already: the application that this process was, until `api` forked it off."""

import posix

from .process import let_go, let_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..options.settings import Settings


class Adopted:
    """In place of a workload that is started: one that is our child already, and waits until we are its init."""

    __slots__ = ("_go", "leads_session", "name", "pid", "started", "takes_terminal")

    def __init__(self, description: str, settings: "Settings") -> None:
        """`description` is what `describe` returned for it.

        Raises:
            ValueError: it is malformed.
        """
        pid, started, takes_terminal, leads_session, go = description.split(":")
        self.pid = int(pid)
        self.started = float(started)
        self.takes_terminal = takes_terminal == "True"
        self.leads_session = leads_session == "True"
        self._go = int(go)
        self.name = settings.argv[0]

    def release(self) -> None:
        """Keep nothing of what it was given, and let it go on. (A closed pipe would not say so: it is closed, too, if
        we end before we are its init.) Raises OSError."""
        posix.set_inheritable(self._go, False)  # ours, not one of those that are let go
        let_go()
        let_run(self._go)

    def await_program(self) -> None:
        """Nothing to wait for: it runs."""


def describe(pid: int, started: float, takes_terminal: bool, leads_session: bool, go: int) -> str:
    """A workload in one word, for another interpreter: when it was started, what it was given (`Workload`), and the
    descriptor of the pipe that it reads from."""
    return f"{pid}:{started}:{takes_terminal}:{leads_session}:{go}"
