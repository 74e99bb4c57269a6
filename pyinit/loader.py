"""Load the core: the launcher's second step, once it knows whether it has a compiled file that fits.

The launcher reads this module from that file (`ctl.compiled`) by itself: the finder of all others is here.
"""

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Index = Mapping[str, tuple[int, int, bool]]
    """By the names of the modules: where the code starts in the file, its length, and whether it is a package."""

OUTSIDE = ("__main__", "api", "ctl", "launcher", "packed")
"""The modules and folders of the package that PID 1 never imports."""


def start(folder: str, version: str, file: int, index: "Index | Exception") -> None:
    """Block the signals, load the core, and run it: `main.main`, which does not return.

    From the compiled file, which is open as `file`. From the sources in `folder` if `index` is what was wrong with that
    file; or, where the launcher was not written for one `version`, if a source is newer: somebody works on them.

    Raises:
        Exception: a module is not there, or damaged.
    """
    if isinstance(index, Exception) or (not version and _is_older(file, f"{folder}/pyinit")):
        if file >= 0:
            posix.close(file)
        sys.modules["pyinit"].__path__ = [f"{folder}/pyinit"]
        mask = _block()
        import_core(folder)
    else:
        sys.meta_path.insert(0, Finder(file, index))
        mask = _block()
    from pyinit.main import main

    main([str(sys._xoptions.get("name", sys.argv[0])), *sys.argv[1:]], mask, sys._xoptions)


def _block() -> "set[int]":
    """From here on a signal waits for the workload."""
    from pyinit.kernel.signals import block

    return block()


class Finder:
    """Imports from the compiled file.

    The file stays open: whatever the workload deletes, covers or replaces, and whatever limits it sets for PID 1, all
    modules can be read. (Before the workload exists it becomes a copy in memory: `reserves.copy_modules`.)
    """

    def __init__(self, file: int, index: "Index") -> None:
        closed = []
        while file < 3:  # a standard stream is closed, and stays so
            closed.append(file)
            file = posix.dup(file)  # which is not inherited either
        for number in closed:
            posix.close(number)
        self.file = file
        self._index = index

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """What the import system asks for (`importlib.abc.MetaPathFinder`)."""
        if name not in self._index:
            return None
        return type(sys.__spec__)(name, self, is_package=self._index[name][2])  # type: ignore[arg-type]

    def create_module(self, spec: "ModuleSpec") -> None:
        """None: an ordinary module."""

    def exec_module(self, module: "ModuleType") -> None:
        """Read the code of the module and run it."""
        start, length, _ = self._index[module.__name__]
        exec(marshal.loads(posix.pread(self.file, length, start)), module.__dict__)


def _is_older(file: int, folder: str) -> bool:
    """Whether a file is older than one of the sources in a folder."""
    made = posix.fstat(file).st_mtime
    return any(path.endswith(".py") and posix.stat(path).st_mtime > made for path in _files(folder))


def import_core(top: str) -> None:
    """Import every module of the core from the sources, in a folder or an archive: later they may be deleted.

    Raises:
        Exception: a module of ours cannot be loaded. One that lacks an extension module of the standard library is
            left out: an option that needs it will say so.
    """
    for path in _archived(top) if top in sys.path else _files(f"{top}/pyinit"):
        name, _, suffix = path.removeprefix(f"{top}/").replace("/", ".").rpartition(".")
        if suffix in ("py", "pyc") and name.split(".")[1] not in OUTSIDE:
            try:
                __import__(name.removesuffix(".__init__"))
            except ImportError as error:
                if (error.name or "").startswith("pyinit"):
                    raise


def _files(folder: str) -> "Iterator[str]":
    for entry in posix.scandir(folder):
        if not entry.is_dir():
            yield entry.path
        elif entry.name != "__pycache__":
            yield from _files(entry.path)


def _archived(archive: str) -> "list[str]":
    import zipimport

    return [path for path in zipimport._zip_directory_cache[archive] if path.startswith("pyinit/")]  # type: ignore[attr-defined]
