"""From the command line to the exit status: the whole story.

What the workload does not need is imported while it starts; what few runs need, when it is needed.
"""

import errno
import posix
import sys

from .kernel import signals
from .options import settings
from .workload import process as workload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from .init import Init
    from .reporting.log import Field, Log
    from .workload.adopted import Adopted

_OWN_NAMES = ("pyinit", "launcher.py")


def main(words: "list[str]", mask: "set[int]", left: "Mapping[str, str | bool]") -> "NoReturn":
    """Run as the init of the command line `words`, our own name first, and end the process with the right status.

    `mask` is what `signals.block` returned, called before anything else was done. `left` are the interpreter's -X
    options, in which the program whose place we have taken may have left us more (`__main__.start_over`). The end is
    ``_exit``: there is nothing that an interpreter's tidy end could add, and it would cost a millisecond.
    """
    chosen = settings.Options()
    try:
        name = words[0].rpartition("/")[2]
        if name not in _OWN_NAMES:
            from .options import personas as peers

            chosen.manner = peers.MANNERS.get(name, settings.OWN)
        chosen = parse(words[1:], chosen.manner)
        if "mask" in left:
            mask = {int(number) for number in str(left["mask"]).split(",") if number}
        if chosen.show:
            status = show(chosen, mask)
        elif chosen.pause:
            status = pause(chosen)
        else:
            status = run(chosen, mask, str(left.get("workload", "")))
    except Exception as error:  # whatever it is: one line, and a status that says who failed
        status = give_up(error, chosen)
    posix._exit(status)


def parse(words: "list[str]", manner: settings.Manner) -> settings.Options:
    """Read the command line and the environment.

    Raises:
        UsageError: something of them is malformed, or there is no PROGRAM.
    """
    plain = settings.without_options(words, posix.environ, manner)
    if plain:
        return plain

    from .options import table as options

    chosen = options.parse(words, posix.environ, manner)
    if not chosen.show:
        options.forget_table()
    return chosen


def show(chosen: settings.Options, mask: "set[int]") -> int:
    """Print the help, the version or the license, as was chosen."""
    from .options import help as about

    signals.use_defaults()  # an ordinary command now: Ctrl-C and a reader that has gone end it
    signals.restore(mask)
    about.show(chosen)
    return 0


def run(chosen: settings.Options, mask: "set[int]", described: str) -> int:
    """Start the workload, unless one is described that we have, and stay with it; return its exit status, remapped as
    asked for."""
    ignore_children = signals.use_defaults()
    warnings = prepare_orphans(chosen)
    child: "workload.Workload | Adopted"
    if described:
        from .workload import adopted

        child = adopted.Adopted(described, chosen)
    else:
        child = workload.Workload(chosen, mask, ignore_children)
    forget_encodings()

    from .init import Init

    child.await_program()
    workload.let_go()
    log = open_log(chosen, warnings)
    program = chosen.argv[0]
    log.info("started", f"started {program} as pid {child.pid}", pid=child.pid, program=program)
    return finish(Init(child, chosen, log), chosen, log)


def forget_encodings() -> None:
    """Give back the memory of the 300 names that encodings have: pyinit needs none, and the loop is loaded into their
    place."""
    if known := sys.modules.get("encodings.aliases"):
        known.aliases.clear()


def pause(chosen: settings.Options) -> int:
    """Reap until we are asked to stop; return the exit status."""
    signals.use_defaults()
    warnings = prepare_orphans(chosen)
    workload.let_go()
    forget_encodings()

    from .pause import Pause

    log = open_log(chosen, warnings)
    return finish(Pause(chosen, log), chosen, log)


def open_log(chosen: settings.Options, warnings: "list[tuple[str, str]]") -> "Log":
    """Where the lines go, these warnings first."""
    from .reporting.log import Log

    log = Log(chosen.verbosity, chosen.json, chosen.manner.prefixes, chosen.manner.messages)
    for event, message in warnings:
        log.warning(event, message)
    return log


def finish(init: "Init", chosen: settings.Options, log: "Log") -> int:
    """Wait for the end and tell of it; return the exit status, remapped as asked for."""
    status = init.wait()
    exit_status = chosen.exit_remap.get(status, status)
    init.return_terminal(is_over=True)  # first: what follows may cost us the right to load how
    tell_end(init, status, exit_status, chosen, log)
    return exit_status


def tell_end(init: "Init", status: int, exit_status: int, chosen: settings.Options, log: "Log") -> None:
    """Say why the container ends, to those who want to know."""
    from .reporting.log import INFO

    if chosen.exit_report == "never":
        return
    try:
        wanted = chosen.exit_report == "always" or init.is_abnormal()
        if not wanted and log.level < INFO:
            return
        from .reporting import exit_report as report

        line = report.compose(init, status, exit_status, log)
        log.write(line)
        if wanted and chosen.termination_log:
            report.write_termination_log(chosen.termination_log, line, chosen.user, log)
    except Exception as error:  # no descriptor to load it with, no memory
        log.error("failed", f"cannot tell how it ended: {error!r}")


def prepare_orphans(chosen: settings.Options) -> "list[tuple[str, str]]":
    """See to it that orphans come to us, and that we hear of our parent's death if that was asked for.

    Before the workload exists, since it could leave orphans at once. What cannot be had is a warning: everything
    else still works.
    """
    warnings = []
    if posix.getpid() != 1:
        try:
            from .kernel import libc

            libc.become_subreaper()
        except Exception as error:
            warnings.append(("subreaper", f"cannot become the child subreaper, orphans go elsewhere: {error}"))
    if chosen.parent_death_signal:
        try:
            from .kernel import libc

            libc.set_parent_death_signal(chosen.parent_death_signal)
        except Exception as error:
            warnings.append(("parent-death-signal", f"cannot ask for the signal of the parent's death: {error}"))
    return warnings


def give_up(error: Exception, chosen: settings.Options) -> int:
    """Say in one line why pyinit cannot go on; return the exit status."""
    from .reporting.log import ERROR

    manner = chosen.manner
    status = manner.failed
    fields: "dict[str, Field]" = {}
    if isinstance(error, settings.UsageError):
        event, message = "usage", f"{error} ({manner.name} --help tells the usage)"
    elif isinstance(error, workload.CannotExecute):
        event, message = "exec", str(error)
        fields = {"program": error.program, "error": posix.strerror(error.errno)}
        known = {errno.ENOENT: manner.not_found, errno.EACCES: manner.not_executable}
        status = known.get(error.errno, manner.not_started)
    elif isinstance(error, workload.CannotBecomeUser):
        event, message = "user", str(error)
    else:
        event = "failed"
        message = f"cannot go on: {error.strerror if isinstance(error, OSError) else repr(error)}"
    log = open_log(chosen, [])
    line = log.line(ERROR, event, message, fields)
    log.write(line)
    # Where the options could not be read, one variable still can.
    path = chosen.termination_log or posix.environ.get(b"PYINIT_TERMINATION_LOG", b"").decode(errors="surrogateescape")
    if path and chosen.exit_report != "never":
        from .reporting import exit_report as report

        # Who cannot be become has put nothing there, and cannot be become for this either.
        user = None if isinstance(error, workload.CannotBecomeUser) else chosen.user
        report.write_termination_log(path, line, user, log)
    return status
