"""Loads modules that were compiled in the place of their sources, as our image has them, without the search that the
import statement makes for each: that takes longer than what is in them, a twentieth of the start in all."""

import marshal
import posix
import sys


def load(*names: str) -> None:
    """Load these, in this order, for the import statement behind to find. From the first that is not there on, it is
    left to that, and so is all of it where there are sources: one may be newer than what was compiled."""
    folder, _, ending = __file__.rpartition("ahead")
    if ending != ".pyc":
        return
    for name in names:
        full_name = f"pyinit.{name}"
        if full_name in sys.modules:
            continue
        try:
            file = posix.open(f"{folder}{name}.pyc", posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return
        try:
            content = posix.read(file, posix.fstat(file).st_size)
        finally:
            posix.close(file)
        module = sys.modules[full_name] = type(sys)(full_name)
        module.__spec__ = type(__spec__)(full_name, None)
        exec(marshal.loads(memoryview(content)[16:]), module.__dict__)  # behind the header (PEP 552)
        setattr(sys.modules["pyinit"], name, module)
