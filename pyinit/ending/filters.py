"""What filters our own output, as in ``exec > >(tee log) 2>&1; exec pyinit``: it reads until we have closed that."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..init import Init
    from ..reporting.log import Log


def await_end(init: "Init", log: "Log") -> None:
    """Close our output, and go on from the stage in which filters were all that was left."""
    log.close()
    init.account.stage = init.account.only_filters_from or init.account.stage
    try:
        posix.seteuid(posix.getuid())  # the report may have taken the rights of another user, for its file
        posix.setegid(posix.getgid())
        init.run()
    except Exception:  # not reached: no memory is left; nobody reads a line about it
        pass
