"""pyinit: a container's PID 1, in Python.

From inside of Python: `run` turns the calling process into the init, `relaunch_if_pid1` keeps an application from being
PID 1 itself.
"""

import posix

if not posix.access(f"{__path__[0]}/api.py", posix.F_OK):
    from . import packed

    packed.import_from(__path__[0])

from .version import __version__

__all__ = ["__version__", "relaunch_if_pid1", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import relaunch_if_pid1, run
else:

    def __getattr__(name: str) -> object:
        """Load the functions when they are asked for: pyinitctl imports this package and has no use for them."""
        if name not in __all__:
            raise AttributeError(f"module 'pyinit' has no attribute '{name}'")
        from . import api

        return getattr(api, name)

    def __dir__() -> "list[str]":
        return __all__
