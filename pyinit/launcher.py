"""Start the init. A script, run by an isolated interpreter (-I -S -B -X utf8), never imported.

``pyinitctl install`` writes a copy with a ``#!`` line and the folder filled in.
"""

import sys

FOLDER = __file__.rpartition("/")[0].rpartition("/")[0]

try:
    sys.path.insert(0, FOLDER)
    from pyinit import signals

    mask = signals.block()  # from here on a signal waits for the workload
    sys.path.pop(0)  # what else lies in that folder is not ours
    from pyinit.main import main
except KeyboardInterrupt:  # Ctrl-C before that: there is no workload to hand it to
    sys.exit(130)
main(sys.argv[1:], mask)
