"""The names of others that pyinit may be invoked by, and what goes with each: defaults, options, exit statuses, and
the form of the messages that scripts match on. Loaded for another name than its own.

tini 0.19, dumb-init 1.2.5 and catatonit 0.1.7, as Debian has them. None of them waits for those who are left when the
workload has ended. Options and variables that only pyinit has are there by each name, but no variables of the others.
"""

from ..version import __version__
from .settings import Manner
from .table import TABLE, Option, boolean, constant, if_true, set_verbosity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .table import Settings


def _single_child(settings: "Settings", text: str) -> None:
    settings.update(forward_to="child", session=False)


def _unless_session(settings: "Settings", text: str) -> None:
    if not boolean(text):
        _single_child(settings, text)


def _table(*rows: Option) -> "tuple[Option, ...]":
    """The table, with these rows in place of those with the same long name."""
    own = {row.long: row for row in rows}
    return tuple([own.get(option.long, option) for option in TABLE])


_TINI = Manner(
    "tini",
    # The Docker daemon parses it, and what is behind "git.", too, for docker info and docker version.
    f"tini version 0.19.0 (pyinit {__version__}) - git.pyinit",
    variables=("PYINIT_", "TINI_"),
    defaults={"drain_timeout": 0.0},
    statuses=(1, 126, 127, 1),
    prefixes=tuple([f"[{level} tini ({{init}})] " for level in ("ERROR", "WARN ", "INFO ", "DEBUG", "TRACE")]),
    messages={
        "exec": "[FATAL tini ({init})] exec {program} failed: {error}",
        "started": "[INFO  tini ({init})] Spawned child process '{program}' with pid '{pid}'",
        "reaped": "[WARN  tini ({init})] Reaped zombie process with pid={pid}",
    },
)

_DUMB_INIT = Manner(
    "dumb-init",
    f"dumb-init v1.2.5 (pyinit {__version__})",
    _table(
        Option(
            "c",
            "single-child",
            "",
            "no session for the workload, and signals to it alone",
            _single_child,
            (("DUMB_INIT_SETSID", _unless_session),),
        ),
        Option(
            "v",
            "verbose",
            "",
            "log what goes on",
            constant("verbosity", 3),
            (
                ("DUMB_INIT_DEBUG", if_true("verbosity", 3)),
                ("PYINIT_VERBOSITY", set_verbosity),
            ),
        ),
    ),
    ("PYINIT_", "DUMB_INIT_"),
    {"drain_timeout": 0.0, "forward_to": "group", "session": True, "ends_group": True},
    statuses=(1, 2, 2, 2),
    prefixes=("[dumb-init] ",) * 5,
    messages={"exec": "[dumb-init] {program}: {error}", "started": "[dumb-init] Child spawned with PID {pid}."},
)

_CATATONIT = Manner(
    "catatonit",
    f"tini version 0.1.7_catatonit (pyinit {__version__})",
    _table(Option("L", "license", "", "print the license and exit", constant("show", "license"))),
    ("PYINIT_",),
    {"drain_timeout": 0.0},
    statuses=(1, 1, 1, 1),
    prefixes=tuple([f"{level} (catatonit:{{init}}): " for level in ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")]),
    messages={
        "exec": "ERROR (catatonit:{init}): failed to exec pid1: {error}",
        "started": "DEBUG (catatonit:{init}): pid1 ({pid}) spawned: {program}",
    },
)

MANNERS = {
    "tini": _TINI,
    "tini-static": _TINI,
    "docker-init": _TINI,
    "dumb-init": _DUMB_INIT,
    "catatonit": _CATATONIT,
}
"""What goes with which name."""
