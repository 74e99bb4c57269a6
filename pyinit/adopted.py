"""A workload that is there already: the application that the init was, until it parted from it (`api`)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options


class Adopted:
    """In place of a workload that is started: one that runs, as our child."""

    __slots__ = ("leads_session", "name", "pid", "started", "takes_terminal")

    def __init__(self, described: str, chosen: "Options") -> None:
        """`described` is what `describe` said of it.

        Raises:
            ValueError: it is not.
        """
        pid, started, takes_terminal, leads_session = described.split(":")
        self.pid = int(pid)
        self.started = float(started)
        self.takes_terminal = takes_terminal == "True"
        self.leads_session = leads_session == "True"
        self.name = chosen.argv[0].rpartition("/")[2] or chosen.argv[0]

    def await_program(self) -> None:
        """It runs."""


def describe(pid: int, started: float, takes_terminal: bool, leads_session: bool) -> str:
    """A workload in one word, for another interpreter: when it was started, and what it was given (`Workload`)."""
    return f"{pid}:{started}:{takes_terminal}:{leads_session}"
