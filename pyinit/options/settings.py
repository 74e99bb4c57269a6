"""What pyinit was asked to do, and in whose manner."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..workload.user import User
    from .table import Option, Settings


class UsageError(Exception):
    """The command line or an environment variable is wrong; the text says which and how."""


class Options:
    """What pyinit was asked to do."""

    __slots__ = (
        "argv",
        "drain_timeout",
        "ends_group",
        "exit_remap",
        "exit_report",
        "forward_to",
        "json",
        "manner",
        "orphans",
        "parent_death_signal",
        "pause",
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

    def __init__(self, manner: "Manner | None" = None) -> None:
        self.manner = manner or OWN
        """Whose words and exit statuses are used."""
        self.argv: "list[str]" = []
        """The workload: PROGRAM and its arguments."""
        self.show: "str | None" = None
        """``help``, ``version`` or ``license``: print that and exit."""
        self.forward_to = "child"
        """Who receives a forwarded signal: ``child``, ``group`` or ``all``."""
        self.rewrite: "dict[int, int]" = {}
        """Signal numbers to the ones delivered in their place; 0 drops."""
        self.session = False
        """Whether the workload is to lead a session of its own."""
        self.stop_timeout: "float | None" = None
        """Seconds from the first stop signal until a workload that still lives is killed; None for never."""
        self.drain_timeout = 5.0
        """Seconds that whoever is left when the workload has ended has after SIGTERM; 0 leaves them alone."""
        self.ends_group = False
        """Whether the workload's process group gets SIGTERM when the workload has ended and nothing is drained."""
        self.wait_for = "main"
        """Whose end is the end: the workload's (``main``), or the last process's (``all``)."""
        self.orphans = "keep"
        """What becomes of live processes whose parent died: ``keep`` or ``terminate``."""
        self.exit_remap: "dict[int, int]" = {}
        """Exit statuses of the workload to those reported in their place."""
        self.parent_death_signal = 0
        """The signal that pyinit gets when its own parent dies; 0 for none."""
        self.user: "User | None" = None
        """Who runs the workload; None for whoever runs pyinit."""
        self.pause = False
        """Whether there is no workload."""
        self.warn_on_reap = False
        self.zombie_watch = 0.0
        """Seconds between two looks for zombies whose parents do not reap them; 0 for none."""
        self.verbosity = 1
        """The highest level that is logged: 0 errors, 1 warnings, 2 info, 3 debug, 4 trace."""
        self.json = False
        self.exit_report = "abnormal"
        """When to say why the container ends: ``never``, ``abnormal`` or ``always``."""
        self.termination_log: "str | None" = None
        """The file that is told, too: an absolute path."""


class Manner:
    """What goes with the name that pyinit is invoked by; by default its own. (Those of others: `peers`.)"""

    __slots__ = (
        "defaults",
        "failed",
        "messages",
        "name",
        "not_executable",
        "not_found",
        "not_started",
        "prefixes",
        "table",
        "variables",
        "version",
    )

    def __init__(
        self,
        name: str = "pyinit",
        version: str = "",
        table: "tuple[Option, ...]" = (),
        variables: "tuple[str, ...]" = ("PYINIT_", "TINI_", "DUMB_INIT_"),
        defaults: "Settings | None" = None,
        statuses: "tuple[int, int, int, int]" = (125, 126, 127, 126),
        prefixes: "tuple[str, ...]" = ("pyinit: ",) * 5,
        messages: "Mapping[str, str] | None" = None,
    ) -> None:
        self.name = name
        self.version = version
        """What ``--version`` prints; empty for our own."""
        self.table = table
        """The options; empty for our own."""
        self.variables = variables
        """How the environment variables begin that count."""
        self.defaults = defaults or {}
        """What is chosen where nobody chooses, as far as it differs."""
        self.failed, self.not_executable, self.not_found, self.not_started = statuses
        """The exit status if pyinit itself could not go on, and if PROGRAM could not be started: for lack of
        permission, since it was not found, for other reasons."""
        self.prefixes = prefixes
        """What a line of the log starts with, by its level."""
        self.messages = messages or {}
        """The events that are told in other words than ours, prefix and all (`log`)."""


OWN = Manner()


def without_options(words: "list[str]", environ: "Mapping[bytes, bytes]", manner: Manner = OWN) -> "Options | None":
    """The choice of a command line (without the program's own name) that has no options, beside an environment that
    has none either: nothing is to be parsed, so that most runs need not load what parses. None if there may be one."""
    argv = words[1:] if words[:1] == ["--"] else words
    if manner is not OWN or not argv or (argv is words and words[0][:1] == "-"):
        return None
    prefixes = tuple([prefix.encode() for prefix in manner.variables])
    for name in environ:
        if name.startswith(prefixes):
            return None
    chosen = Options()
    chosen.argv = argv
    return chosen
