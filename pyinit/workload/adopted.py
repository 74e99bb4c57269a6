"""A workload that is there already: the application that the init was, until it parted from it (`api`)."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..options.settings import Options


class Adopted:
    """In place of a workload that is started: one that is our child already, and waits until we are its init."""

    __slots__ = ("_go", "leads_session", "name", "pid", "started", "takes_terminal")

    def __init__(self, described: str, chosen: "Options") -> None:
        """`described` is what `describe` said of it.

        Raises:
            ValueError: it is not.
        """
        pid, started, takes_terminal, leads_session, go = described.split(":")
        self.pid = int(pid)
        self.started = float(started)
        self.takes_terminal = takes_terminal == "True"
        self.leads_session = leads_session == "True"
        self._go = int(go)
        self.name = chosen.argv[0]

    def await_program(self) -> None:
        """Let it go on. (That this descriptor is closed says nothing: so it is if we end before we are an init.)"""
        try:
            posix.write(self._go, b"+")
        except OSError:  # EPIPE: it has ended
            pass
        posix.close(self._go)


def describe(pid: int, started: float, takes_terminal: bool, leads_session: bool, go: int) -> str:
    """A workload in one word, for another interpreter: when it was started, what it was given (`Workload`), and the
    descriptor that it reads from at the other end."""
    return f"{pid}:{started}:{takes_terminal}:{leads_session}:{go}"
