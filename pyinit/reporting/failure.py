"""What keeps pyinit from going on: one line, and an exit status."""

import errno
import posix

from ..options.table import NoProgram, UsageError
from ..workload.failures import CannotBecomeUser, CannotExecute
from . import exit_report
from .log import ERROR, Log, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..options.settings import Settings
    from .log import Field


def report(error: Exception, settings: "Settings", log: "Log | None") -> int:
    """Say in one line why pyinit cannot go on; return the exit status.

    `log` is the one that has been opened already: there may be no descriptor for another.
    """
    if isinstance(error, UsageError):
        settings = error.settings
    persona = settings.persona
    status = persona.failed
    fields: "dict[str, Field]" = {}
    if isinstance(error, UsageError):
        event, message = "usage", f"{error}; see {persona.name} --help"
    elif isinstance(error, CannotExecute):
        event, message = "exec", str(error)
        fields = {"program": error.program, "error": posix.strerror(error.errno)}
        known = {errno.ENOENT: persona.not_found, errno.EACCES: persona.not_executable}
        status = known.get(error.errno, persona.not_started)
    elif isinstance(error, CannotBecomeUser):
        event, message = "user", str(error)
    else:
        event, message = "failed", f"cannot go on: {reason(error)}"
    log = log or Log(settings.verbosity, settings.json)
    line = log.line(ERROR, event, message, fields)
    log.write(line)
    if isinstance(error, NoProgram) and not settings.json:
        from ..options import help as texts

        log.write("\n".join([*texts.usage(persona), ""]).encode())
    if settings.termination_log and settings.exit_report != "never":
        exit_report.write_termination_log(settings.termination_log, line, settings.user, log)
    return status
