"""The processes of the workloads here. Each notes in a journal what happens to it and when.

A test starts one as a command (``command``), or as a program that forks others (``program``). This module runs in an
isolated interpreter and in the tests: it imports only modules that are compiled into the interpreter.
"""

import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence
    from types import FrameType
else:
    import _signal

NAMES = {
    int(_signal.SIGHUP): "HUP",
    int(_signal.SIGINT): "INT",
    int(_signal.SIGQUIT): "QUIT",
    int(_signal.SIGUSR1): "USR1",
    int(_signal.SIGTERM): "TERM",
    int(_signal.SIGCONT): "CONT",
}
"""The signals that are noted."""

STOP_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT)

FOREVER = float("inf")

heard: "list[int]" = []
"""The signals that this process has caught (``catch``)."""

_name = "main"
_journal: "int | None" = None
_bell = -1
"""A pipe: there is a byte in it for each signal that was caught."""


def note(event: str, detail: object = "") -> None:
    """Write a line to the journal, a file in the working directory."""
    global _journal
    if _journal is None:
        _journal = posix.open("journal", posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    posix.write(_journal, f"{time.monotonic()} {_name} {event} {detail}\n".encode())


def ready() -> None:
    """Note that this process is ready for the end, with its pid."""
    note("ready", posix.getpid())


def become(name: str) -> None:
    """Take this name for the notes that follow."""
    global _name
    _name = name


def start(name: str, role: "Callable[..., object]", *arguments: object) -> int:
    """Fork a process of this name that plays this role, and return its pid."""
    pid = posix.fork()
    if pid:
        return pid
    status = 99
    try:
        become(name)
        heard.clear()
        for number in NAMES:
            _signal.signal(number, _signal.SIG_DFL)
        role(*arguments)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    posix._exit(status)


def detach(name: str, role: "Callable[..., object]", *arguments: object) -> None:
    """Start a daemon: a grandchild in a session of its own, whose parent has exited."""
    middle = posix.fork()
    if middle == 0:
        posix.setsid()
        start(name, role, *arguments)
        posix._exit(0)
    posix.waitpid(middle, 0)


def execute(*words: str) -> int:
    """Start another program, and return its pid."""
    pid = posix.fork()
    if pid == 0:
        try:
            posix.execv(words[0], words)
        finally:
            posix._exit(127)
    return pid


def await_file(path: str) -> None:
    """Return when this file exists."""
    while True:
        try:
            posix.stat(path)
        except FileNotFoundError:
            time.sleep(0.01)
        else:
            return


def await_end() -> None:
    """Return when the test has begun the end."""
    await_file("over")


def catch(*numbers: int) -> None:
    """Install handlers for these signals. Each signal is noted, and added to `heard`."""

    def handle(number: int, _: "FrameType | None") -> None:
        note(NAMES[number])
        heard.append(number)

    global _bell
    _bell, ring = posix.pipe()
    posix.set_blocking(ring, False)
    _signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    for number in numbers:
        _signal.signal(number, handle)


def await_signal(count: int = 1) -> None:
    """Return when `count` signals have been caught."""
    while len(heard) < count:
        posix.read(_bell, 1)


def wait_for(children: "Sequence[int]") -> None:
    """Return when these children have exited."""
    for pid in children:
        posix.waitpid(pid, 0)


def write(text: bytes) -> None:
    """Write all of it to standard output."""
    while text:
        text = text[posix.write(1, text) :]


# Roles. Arguments may be text, since they may come from a command line.


def main(status: int = 0) -> None:
    """Exit with this status at the next line of standard input, or its end. SIGTERM has its default action."""
    ready()
    posix.read(0, 1)
    posix._exit(status)


def main_of_signals(status: int = 0) -> None:
    """Exit with this status after SIGUSR1. SIGTERM has its default action."""
    catch(_signal.SIGUSR1)
    ready()
    await_signal()
    posix._exit(status)


def sleep() -> None:
    """Stay. SIGTERM has its default action."""
    ready()
    while True:
        time.sleep(1000)


def ignore() -> None:
    """Stay, and ignore the stop signals."""
    for number in STOP_SIGNALS:
        _signal.signal(number, _signal.SIG_IGN)
    sleep()


def catch_and_stay() -> None:
    """Stay, though SIGTERM is caught."""
    catch(_signal.SIGTERM)
    sleep()


def work(seconds: "float | str") -> None:
    """Work until `seconds` after the end has begun. SIGTERM has its default action: the work is lost."""
    ready()
    await_end()
    time.sleep(float(seconds))
    note("done")


def work_on(seconds: "float | str") -> None:
    """The same, but SIGTERM does not end the work, and the process does not exit before it has come."""
    catch(_signal.SIGTERM)
    ready()
    await_end()
    time.sleep(float(seconds))
    await_signal()
    note("done")


def work_with_interrupts(seconds: "float | str") -> None:
    """The same as `work`, with a handler for SIGINT, which a shell makes its background children ignore."""
    catch(_signal.SIGINT)
    work(seconds)


def save(seconds: "float | str") -> None:
    """Catch SIGTERM, save for `seconds`, and exit."""
    catch(_signal.SIGTERM)
    ready()
    await_signal()
    time.sleep(float(seconds))
    note("saved")


def listen(seconds: "float | str" = FOREVER, count: "int | str" = 1) -> None:
    """Block all signals that are noted; note each with the sender's pid; exit `seconds` after `count` stop signals."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, NAMES)
    ready()
    missing, end = int(count), FOREVER
    while True:
        left = end - time.monotonic()
        info = _signal.sigtimedwait(NAMES, min(max(left, 0), 1000))
        if info is not None:
            note(NAMES[info.si_signo], info.si_pid)
            missing -= info.si_signo in STOP_SIGNALS
            if end == FOREVER and not missing:
                end = time.monotonic() + float(seconds)
        elif left <= 0:  # and no signal is pending
            break
    note("saved")


def be_stopped_and_listen(seconds: "float | str" = FOREVER) -> None:
    """Stop (SIGSTOP), and note each signal from then on."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, NAMES)
    note("stops")
    posix.kill(posix.getpid(), _signal.SIGSTOP)
    listen(seconds)


def call(*words: str) -> None:
    """Run a command by system(3)."""
    posix.system(" ".join(words))


def hold(*words: str) -> None:
    """Run a command with most signals blocked, as runuser does."""
    child = execute(*words)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - {_signal.SIGTERM})
    posix.waitpid(child, 0)


def be_master(children: "Sequence[int]", *numbers: int) -> None:
    """Catch these signals (default: SIGTERM), then wait for the children."""
    catch(*numbers or (_signal.SIGTERM,))
    ready()
    await_signal()
    wait_for(children)
    note("done")


def hand_on(children: "Sequence[int]") -> None:
    """Catch SIGTERM, send it to the children, and wait for them."""
    catch(_signal.SIGTERM)
    ready()
    await_signal()
    for pid in children:
        posix.kill(pid, _signal.SIGTERM)
    wait_for(children)
    note("done")


def write_lines(seconds: "float | str", count: "int | str" = 40) -> None:
    """Catch SIGTERM, then write `count` lines within `seconds`."""
    catch(_signal.SIGTERM)
    ready()
    await_signal()
    begin = time.monotonic()
    for number in range(int(count)):
        write(line(number))
        time.sleep(max(0, begin + (number + 1) * float(seconds) / int(count) - time.monotonic()))
    note("saved")


def line(number: int) -> bytes:
    """A line of the output of `write_lines`."""
    return f"line {number} {'.' * 60}\n".encode()


def gulp(seconds: "float | str" = 0) -> None:
    """Read standard input to its end, and write all of it `seconds` later. SIGTERM has its default action."""
    ready()
    text = b""
    while more := posix.read(0, 65536):
        text += more
    note("end-of-input")
    time.sleep(float(seconds))
    write(text)
    note("done")


def gulp_and_listen() -> None:
    """Read standard input to its end; note the signals all the time. SIGTERM is blocked."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, NAMES)
    gulp()
    listen(0)


def gulp_and_save() -> None:
    """Catch the stop signals, read standard input to its end, and exit after one of the signals."""
    catch(*STOP_SIGNALS)
    gulp()
    await_signal()


if __name__ == "__main__":
    _name, _role = sys.argv[1:3]
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # CPython sets it
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    globals()[_role](*sys.argv[3:])
