"""Start the init. A script for an isolated interpreter (-I -S -B -X utf8), never imported.

``pyinitctl install`` writes a copy with a ``#!`` line and with the constants filled in. The core comes from the
compiled file (`ctl.compiled`), or by the ordinary import system from the sources if that does not fit. The interpreter
compiles this script at each start, half a millisecond for what `loader` does: so only the way to that is here.
"""

import marshal
import posix
import sys

FOLDER = __file__.rpartition("/")[0].rpartition("/")[0]
COMPILED = f"{FOLDER}/pyinit/compiled.{sys.implementation.cache_tag}.zip"
VERSION = ""

# The package without its own code, which is for programs (`api`), and without a search for it: what else lies in that
# folder is not ours.
package = sys.modules["pyinit"] = type(sys)("pyinit")
package.__path__ = []
file = -1
try:
    try:
        file = posix.open(COMPILED, posix.O_CLOEXEC)
        end = posix.pread(file, 4096, max(0, posix.fstat(file).st_size - 4096))
        made_for = f"{VERSION}\n".encode() + sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
        index = marshal.loads(end.partition(made_for)[2])
        start, length, _ = index["pyinit.loader"]
        loader = type(sys)("pyinit.loader")
        exec(marshal.loads(posix.pread(file, length, start)), loader.__dict__)
    except Exception as error:
        index = error
        package.__path__ = [FOLDER + "/pyinit"]
        import pyinit.loader as loader
    loader.start(FOLDER, VERSION, file, index)
except KeyboardInterrupt:  # not reached: Ctrl-C in the half millisecond before signals are blocked
    sys.exit(130)
except Exception as error:  # not there, not to be read: one line, and the status that says who failed
    try:
        why = f"{error} ({COMPILED}: {getattr(index, 'strerror', 'cut short, or for another Python or pyinit')})"
        sys.stderr.write(f"pyinit: cannot start: {'out of memory' if isinstance(error, MemoryError) else why}\n")
    finally:
        posix._exit(125)
