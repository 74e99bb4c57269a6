"""What pyinit was asked to do."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from ..workload.user import User

    Field = Literal[
        "argv",
        "drain_timeout",
        "ends_group",
        "exit_remap",
        "exit_report",
        "forward_to",
        "json",
        "orphans",
        "parent_death_signal",
        "pause",
        "persona",
        "remarks",
        "rewrite",
        "session",
        "show",
        "stop_timeout",
        "termination_log",
        "user",
        "verbosity",
        "wait_for",
        "warn_on_reap",
        "zombie_watch",
    ]
    """The fields of `Settings`. mypy checks rows, defaults and the ``__slots__`` against this list."""

    Remark = tuple[bool, str, str]
    """What is remarkable about an environment variable: whether it is a warning, the variable's name, the message."""


class Persona:
    """The program that pyinit acts as: itself, unless it is invoked by the name of a peer (`personas`)."""

    __slots__ = (
        "defaults",
        "failed",
        "name",
        "not_executable",
        "not_found",
        "not_started",
        "suspends",
        "variables",
        "version",
    )

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        variables: "tuple[str, ...]",
        defaults: "Mapping[Field, object] | None" = None,
        failed: int,
        not_executable: int,
        not_found: int,
        not_started: int,
        suspends: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        """The text that ``--version`` prints; empty for pyinit's own."""
        self.variables = variables
        """Prefixes of the environment variables that are honoured."""
        self.defaults = defaults or {}
        """The defaults that differ from pyinit's own."""
        self.failed = failed
        """The exit status if pyinit itself could not go on."""
        self.not_executable = not_executable
        """The exit status if PROGRAM may not be executed (EACCES)."""
        self.not_found = not_found
        """The exit status if PROGRAM was not found (ENOENT)."""
        self.not_started = not_started
        """The exit status if PROGRAM could not be started for another reason."""
        self.suspends = suspends
        """Whether to stop ourselves after each terminal stop signal (TSTP, TTIN, TTOU) that was forwarded."""


OWN = Persona(
    "pyinit",
    variables=("PYINIT_", "TINI_", "DUMB_INIT_"),
    failed=125,
    not_executable=126,
    not_found=127,
    not_started=126,
)


class Settings:
    """What pyinit was asked to do; without arguments, the defaults."""

    __slots__: "tuple[Field, ...]" = (
        "argv",
        "drain_timeout",
        "ends_group",
        "exit_remap",
        "exit_report",
        "forward_to",
        "json",
        "orphans",
        "parent_death_signal",
        "pause",
        "persona",
        "remarks",
        "rewrite",
        "session",
        "show",
        "stop_timeout",
        "termination_log",
        "user",
        "verbosity",
        "wait_for",
        "warn_on_reap",
        "zombie_watch",
    )

    def __init__(self, persona: Persona = OWN) -> None:
        self.persona = persona
        """The program that pyinit acts as."""
        self.argv: "list[str]" = []
        """The workload: PROGRAM and its arguments."""
        self.show: "str | None" = None
        """``help``, ``version`` or ``license``: print it and exit."""
        self.forward_to = "child"
        """Which processes receive a forwarded signal: ``child``, ``group`` or ``all``."""
        self.rewrite: "dict[int, int]" = {}
        """Numbers of signals to those delivered instead; 0 drops the signal."""
        self.session = False
        """Whether the workload gets a session of its own."""
        self.stop_timeout: "float | None" = None
        """Seconds from the first stop signal until the workload is killed; None for never."""
        self.drain_timeout = 5.0
        """Seconds from SIGTERM to SIGKILL for the processes that remain after the workload; 0 leaves them alone."""
        self.ends_group = False
        """Whether the workload's process group gets SIGTERM after the workload if nothing is drained."""
        self.wait_for = "main"
        """When pyinit exits: after the workload (``main``), or after the last process (``all``)."""
        self.orphans = "keep"
        """What happens to a live process whose parent died: ``keep`` or ``terminate``."""
        self.exit_remap: "dict[int, int]" = {}
        """Exit statuses of the workload to those reported instead."""
        self.parent_death_signal = 0
        """The signal that pyinit gets when its own parent dies; 0 for none."""
        self.user: "User | None" = None
        """The user that the workload runs as; None for the user that pyinit runs as."""
        self.pause = False
        """Whether to run no workload and only reap."""
        self.warn_on_reap = False
        """Whether each orphan reaped is a warning."""
        self.zombie_watch = 0.0
        """Seconds between two looks for zombies that their parents do not reap; 0 for none."""
        self.verbosity = 1
        """The highest level that is logged: 0 errors, 1 warnings, 2 info, 3 debug, 4 trace."""
        self.json = False
        """Whether log lines are JSON objects."""
        self.exit_report = "abnormal"
        """When to log why the container ends: ``never``, ``abnormal`` or ``always``."""
        self.termination_log: "str | None" = None
        """The absolute path of a file that gets the exit report, too."""
        self.remarks: "list[Remark]" = []
        """What the log should say about the environment variables."""
