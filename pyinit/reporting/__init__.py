"""What pyinit says: the log, the report at the end, the counters, zombies."""

from ..kernel import reserves
from .log import INFO, Log, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..options import Settings

COUNTERS = "pyinit-status"
"""The name of the file in memory that holds the counters (`counters`)."""


def open_counters(log: Log) -> int:
    """Open that file, before the workload may take our descriptors away; -1 if there can be none."""
    try:
        return reserves.open_memfd(COUNTERS)
    except Exception as error:
        log.info("status", f"cannot publish the counters for pyinitctl: {reason(error)}")
        return -1


def report_end(account: "Account", settings: "Settings", log: Log) -> None:
    """Write the line on how it ended, if it is wanted."""
    try:
        reserves.release_memory()
        is_wanted = settings.exit_report in (("always", "abnormal") if account.is_abnormal else ("always",))
        if is_wanted or (settings.exit_report != "never" and log.level >= INFO):
            from . import exit_report

            exit_report.write(account, log, settings.termination_log if is_wanted else None, settings.user)
    except Exception as error:
        log.error("failed", f"cannot report how it ended: {reason(error)}")
