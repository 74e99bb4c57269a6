"""What pyinit says: the log, the report at the end, the counters, zombies."""

from ..kernel import reserves
from .log import Log, reason

COUNTERS = "pyinit-status"
"""The name of the file in memory that holds the counters (`counters`)."""


def open_counters(log: Log) -> int:
    """Open that file, before the workload may take our descriptors away; -1 if there can be none."""
    try:
        return reserves.open_memfd(COUNTERS)
    except Exception as error:
        log.info("status", f"cannot publish the counters for pyinitctl: {reason(error)}")
        return -1
