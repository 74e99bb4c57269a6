"""From the command line to the exit status: the whole story.

The workload runs as soon as PID 1 has let go of it; the loop is loaded meanwhile, and the rest when it is needed.
"""

import posix

from .kernel import reserves, signals
from .options import Settings, find_persona, parse
from .reporting import open_counters, report_end
from .reporting.log import Log, reason
from .workload import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from .init import Init
    from .workload.adopted import Adopted


def main(words: "list[str]", mask: "set[int]", left: "Mapping[str, str | bool]") -> "NoReturn":
    """Run as the init of the command line `words`, our own name first, and end the process with the right status.

    `mask`: what `signals.block` returned. `left`: the interpreter's -X options, and what `__main__.start_over` adds.
    """
    status = 125
    try:
        status = story(words, mask, left)
    except BaseException as error:  # not reached: the last handler of all: it imports nothing
        posix.write(2, f"pyinit: cannot go on: {error!r}\n".encode(errors="backslashreplace"))
    finally:
        posix._exit(status)  # a tidy end would only cost a millisecond


def story(words: "list[str]", mask: "set[int]", left: "Mapping[str, str | bool]") -> int:
    """Do what the command line asks for; return the exit status."""
    settings = Settings()
    log: "Log | None" = None
    try:
        settings.persona = find_persona(words[0].rpartition("/")[2])
        settings = parse(words[1:], posix.environ, settings.persona)
        if "mask" in left:
            mask = {int(number) for number in str(left["mask"]).split(",") if number}
        ignore_children = signals.use_defaults()
        if settings.show:
            from .options import help as texts

            signals.restore(mask)  # an ordinary command now: Ctrl-C ends it, and so does a reader that closes the pipe
            texts.show(settings)
            return 0
        log = Log(settings.verbosity, settings.json)
        for is_warning, name, message in settings.remarks:
            (log.warning if is_warning else log.debug)("variable", message, variable=name)
        if "/" in str(left.get("name")):  # the path of a command that an installer has written
            # not reached: the wheels of test_wheel.py are not measured
            log.info("started-over", f"two interpreters were started; pyinitctl install {words[0]} makes it one")
        if posix.getpid() != 1 or settings.parent_death_signal:
            from . import process_tree

            process_tree.take_place(settings.parent_death_signal, log)
        counters = open_counters(log)
        reserves.copy_modules()
        if settings.pause:
            from .pause import Pause

            init: "Init" = Pause(settings, counters, log)
        elif "workload" in left:
            from .workload.adopted import Adopted

            init = start(Adopted(str(left["workload"]), settings), settings, counters, log)
        else:
            init = start(process.Workload(settings, mask, ignore_children), settings, counters, log)
    except Exception as error:
        from .reporting import failure

        return failure.report(error, settings, log)
    return finish(init, settings, log)


def start(workload: "process.Workload | Adopted", settings: Settings, counters: int, log: Log) -> "Init":
    """Let the workload run, with an init that attends to it. Raises CannotExecute, CannotBecomeUser."""
    workload.release()
    try:
        return attend(workload, settings, counters, log)
    except MemoryError:  # not reached: the workload takes memory away at this moment
        reserves.release_memory()
        return attend(workload, settings, counters, log)


def attend(workload: "process.Workload | Adopted", settings: Settings, counters: int, log: Log) -> "Init":
    """Load the loop; return it when the program runs."""
    from .account import Account
    from .init import Init

    account = Account(workload.pid, workload.name, workload.started, workload.takes_terminal, settings.exit_remap)
    init = Init(workload, settings, account, counters, log)
    workload.await_program()
    log.info("started", f"started {settings.argv[0]} as pid {workload.pid}", pid=workload.pid, program=settings.argv[0])
    return init


def finish(init: "Init", settings: Settings, log: Log) -> int:
    """Wait for the end, and report it; return 125 if we cannot wait. Otherwise end the process, whatever fails."""
    try:
        ending = init.run()
    except Exception as error:  # nothing is imported for this
        log.error("failed", f"cannot go on: {reason(error)}")
        return 125
    try:
        report_end(init.account, settings, log)
        if init.account.only_filters_from:
            from .ending import filters

            filters.await_end(init, log)
    finally:
        posix._exit(ending.exit_status)
