"""Our place in the process tree: which orphans become ours, and what the death of our own parent does."""

import posix

from .reporting.log import Log, reason


def take_place(parent_death_signal: int, log: Log) -> None:
    """Have orphaned descendants re-parented to us, and get signal `parent_death_signal` (0: none) when our parent dies.

    Before the workload exists, since it could leave orphans at once. A failure is a warning: all else still works.
    """
    try:
        if posix.getpid() != 1:  # PID 1 gets every orphan without asking
            from .kernel import libc

            libc.become_subreaper()
    except Exception as error:
        log.warning("subreaper", f"cannot become the child subreaper, orphans go elsewhere: {reason(error)}")
    try:
        if parent_death_signal:
            from .kernel import libc

            libc.set_parent_death_signal(parent_death_signal)
    except Exception as error:  # not reached: the kernel takes every signal number that the option takes
        log.warning("parent-death-signal", f"cannot ask for a signal on the parent's death: {reason(error)}")
