"""Start the init. A script, run by an isolated interpreter (-I -S -B -X utf8), never imported.

``pyinitctl install`` writes a copy with a ``#!`` line and the folder filled in.
"""

import sys

FOLDER = __file__.rpartition("/")[0].rpartition("/")[0]

try:
    # The package without its own code, which is for programs (`api`), and without a search for it: what else lies in
    # that folder is not ours.
    package = sys.modules["pyinit"] = type(sys)("pyinit")
    package.__path__ = [f"{FOLDER}/pyinit"]
    from pyinit.kernel.signals import block

    mask = block()  # from here on a signal waits for the workload
    from pyinit.main import main
except KeyboardInterrupt:  # Ctrl-C before that: there is no workload to hand it to
    sys.exit(130)
except Exception as error:  # not there, not to be read: one line, and the status that says who failed
    try:
        sys.stderr.write(f"pyinit: cannot start: {error}\n")
    finally:
        import posix

        posix._exit(125)
main([sys._xoptions.get("name", sys.argv[0]), *sys.argv[1:]], mask, sys._xoptions)
