"""The peers that pyinit can be invoked as: their defaults, options, exit statuses and ``--version``.

tini 0.19, dumb-init 1.2.5 and catatonit 0.1.7, as Debian packages them. None of them waits for the processes that
remain after the workload. Options and variables that only pyinit has are accepted under each name; the variables of
another peer are not. Loaded only if pyinit is invoked by another name than its own.
"""

from ..version import __version__
from . import values
from .settings import Persona
from .table import TABLE, Option, Peer


def _table(*rows: Option) -> "tuple[Option, ...]":
    """The table with these rows in place of those with the same long name."""
    changed = {row.long: row for row in rows}
    return tuple([changed.get(option.long, option) for option in TABLE])


_TINI = Persona(
    "tini",
    # The Docker daemon parses it, the part after "git." included, for docker info and docker version.
    version=f"tini version 0.19.0 (pyinit {__version__}) - git.pyinit",
    variables=("PYINIT_", "TINI_"),
    defaults={"drain_timeout": 0.0},
    failed=1,
    not_executable=126,
    not_found=127,
    not_started=1,
)

_DUMB_INIT = Peer(
    "dumb-init",
    version=f"dumb-init v1.2.5 (pyinit {__version__})",
    variables=("PYINIT_", "DUMB_INIT_"),
    defaults={"drain_timeout": 0.0, "forward_to": "group", "session": True, "ends_group": True},
    failed=1,
    not_executable=2,
    not_found=2,
    not_started=2,
    suspends=True,
)
_DUMB_INIT.table = _table(
    Option(
        "c",
        "single-child",
        "",
        "no session for the workload, and signals to it alone",
        "forward_to",
        "child",
        also={"session": False},
        peers=(("DUMB_INIT_SETSID", values.if_false("child")),),
    ),
    Option(
        "v",
        "verbose",
        "",
        "log debugging messages",
        "verbosity",
        3,
        peers=(("DUMB_INIT_DEBUG", values.if_true(3)), ("PYINIT_VERBOSITY", values.verbosity)),
    ),
)

_CATATONIT = Peer(
    "catatonit",
    version=f"tini version 0.1.7_catatonit (pyinit {__version__})",
    variables=("PYINIT_",),
    defaults={"drain_timeout": 0.0},
    failed=1,
    not_executable=1,
    not_found=1,
    not_started=1,
)
_CATATONIT.table = _table(Option("L", "license", "", "print the license and exit", "show", "license"))

PERSONAS = {
    "tini": _TINI,
    "tini-static": _TINI,
    "docker-init": _TINI,
    "dumb-init": _DUMB_INIT,
    "catatonit": _CATATONIT,
    "podman-init": _CATATONIT,  # what podman run --init calls it
}
"""The persona of each name."""
