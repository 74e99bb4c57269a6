"""Says how long a command will take, and runs it: `python -m testing.duration MINUTES -- COMMAND [ARG]...`.

The estimate is the time that the same command took when it last passed, which is kept in .cache/. Without one, it is
MINUTES on two cores, and less on more.
"""

import json
import os
import signal
import subprocess
import sys
import time

from testing import ROOT, say

KEPT = ROOT / ".cache" / "durations.json"


def kept() -> dict[str, float]:
    """The seconds that commands took when they last passed."""
    try:
        return dict(json.loads(KEPT.read_text()))
    except (OSError, ValueError):
        return {}


def main(minutes: str, command: list[str]) -> int:
    """Run the command; its exit status."""
    key = " ".join(command)
    cores = len(os.sched_getaffinity(0))
    if key in kept():
        say(f"this takes {kept()[key] / 60:.1f} minutes, as it did the last time")
    else:
        say(f"this takes {float(minutes) * 2 / max(2, cores):.0f} minutes or so on {cores} cores that are idle")
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command, which gets it from the terminal
    began = time.monotonic()
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    status = child.wait()
    if status == 0:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps({**kept(), key: round(time.monotonic() - began)}, indent=1))
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[3:]))
