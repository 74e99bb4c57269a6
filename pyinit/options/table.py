"""The table of options; text in, `Options` out.

One table says what there is, parses the command line and the environment, and makes the help text. A later
source beats an earlier one: the defaults, the environment variables of tini and dumb-init, our own, the flags.
"""

import posix

from ..kernel import signals
from .settings import OWN, Manner, Options, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Settings = dict[str, object]
    Setter = Callable[[Settings, str], None]


class Option:
    """A row of the table."""

    __slots__ = ("long", "metavar", "short", "store", "text", "twins")

    def __init__(
        self,
        short: str,
        long: str,
        metavar: str,
        text: str,
        store: "Setter",
        twins: "tuple[tuple[str, Setter], ...]" = (),
    ) -> None:
        self.short = short
        self.long = long
        self.metavar = metavar
        """What the value is called in the help; empty for an option that takes none."""
        self.text = text
        self.store = store
        self.twins = twins
        """The environment variables that say the same, and how each is read."""


# What a row does with its value: put it where it belongs in the settings, or raise ValueError with the reason.


def constant(name: str, value: object) -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        settings[name] = value

    return store


def _nothing(settings: "Settings", text: str) -> None:
    """For what is accepted because a peer has it, and goes without saying here."""


def if_true(name: str, value: object) -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        if boolean(text):
            settings[name] = value

    return store


def truth(name: str) -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        settings[name] = boolean(text)

    return store


def if_false(name: str, value: object) -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        if not boolean(text):
            settings[name] = value

    return store


def _choice(name: str, values: "Mapping[str, object]") -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        if text not in values:
            raise ValueError(f"'{text}' is none of {', '.join(values)}")
        settings[name] = values[text]

    return store


def _listed(store_one: "Setter") -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        for part in text.split(","):
            store_one(settings, part.strip())

    return store


def boolean(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"'{text}' is neither 1 nor 0")


def _number(text: str, most: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most):
        raise ValueError(f"'{text}' is no {what} from 0 to {most}")
    return int(text)


def _seconds(name: str) -> "Setter":
    def store(settings: "Settings", text: str) -> None:
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        if not (digits.isascii() and digits.isdigit() and len(whole) <= 9 and len(fraction) <= 9):
            raise ValueError(f"'{text}' is no number of seconds")
        settings[name] = float(text)

    return store


def _set_termination_log(settings: "Settings", text: str) -> None:
    """Make the path absolute: when the file is written, our working directory is another."""
    if not text or "\0" in text:
        raise ValueError(f"'{text}' is no path")
    try:
        settings["termination_log"] = text if text[0] == "/" else f"{posix.getcwd()}/{text}"
    except OSError:
        raise ValueError(f"'{text}' is relative, and there is no working directory") from None


def _set_user(settings: "Settings", text: str) -> None:
    from ..workload import user

    settings["user"] = user.find(text)


def _add_rewrite(settings: "Settings", text: str) -> None:
    source, colon, target = text.partition(":")
    if not colon:
        raise ValueError(f"'{text}' is not of the form FROM:TO")
    number = signals.number_of(source)
    if number not in signals.CAUGHT:
        raise ValueError(f"{signals.name_of(number)} is never forwarded")
    _add_pair(settings, "rewrite", number, 0 if target == "0" else signals.number_of(target))


def _add_exit_remap(settings: "Settings", text: str) -> None:
    source, colon, target = text.partition(":")
    code = _number(source, 255, "exit status")
    _add_pair(settings, "exit_remap", code, _number(target, 255, "exit status") if colon else 0)


def _add_pair(settings: "Settings", name: str, key: int, value: int) -> None:
    pairs = settings.setdefault(name, {})
    assert isinstance(pairs, dict)
    pairs[key] = value


def _set_parent_death_signal(settings: "Settings", text: str) -> None:
    settings["parent_death_signal"] = signals.number_of(text)


def _add_verbosity(settings: "Settings", text: str) -> None:
    verbosity = settings.get("verbosity", 1)
    assert isinstance(verbosity, int)
    settings["verbosity"] = min(verbosity + 1, 4)


def set_verbosity(settings: "Settings", text: str) -> None:
    settings["verbosity"] = min(_number(text, 999, "verbosity"), 4)


_set_forward_to = _choice("forward_to", {"child": "child", "group": "group", "all": "all"})
_set_log_format = _choice("json", {"text": False, "json": True})
_set_stop_timeout = _seconds("stop_timeout")
_set_drain_timeout = _seconds("drain_timeout")
_set_zombie_watch = _seconds("zombie_watch")
_set_wait_for = _choice("wait_for", {"main": "main", "all": "all"})
_set_orphans = _choice("orphans", {"keep": "keep", "terminate": "terminate"})
_set_exit_report = _choice("exit_report", {"never": "never", "abnormal": "abnormal", "always": "always"})

TABLE: "tuple[Option, ...]" = (
    Option(
        "g",
        "process-group",
        "",
        "same as --forward-to=group",
        constant("forward_to", "group"),
        (("TINI_KILL_PROCESS_GROUP", constant("forward_to", "group")),),
    ),
    Option(
        "c",
        "single-child",
        "",
        "same as --forward-to=child",
        constant("forward_to", "child"),
        (("DUMB_INIT_SETSID", if_false("forward_to", "child")),),
    ),
    Option(
        "",
        "forward-to",
        "child|group|all",
        "who receives a forwarded signal: the workload alone (the default), its process group, or every process",
        _set_forward_to,
        (("PYINIT_FORWARD_TO", _set_forward_to),),
    ),
    Option(
        "r",
        "rewrite",
        "FROM:TO",
        "deliver the signal TO in place of FROM; 0 drops it; names (TERM, RTMIN+3) or numbers; repeatable",
        _add_rewrite,
        (("PYINIT_REWRITE", _listed(_add_rewrite)),),
    ),
    Option(
        "",
        "session",
        "",
        "give the workload its own session and the controlling terminal, as dumb-init does",
        constant("session", True),
        (("PYINIT_SESSION", truth("session")),),
    ),
    Option(
        "t",
        "stop-timeout",
        "SECONDS",
        "kill a workload that is still alive this long after the first stop signal (TERM, INT or QUIT)",
        _set_stop_timeout,
        (("PYINIT_STOP_TIMEOUT", _set_stop_timeout),),
    ),
    Option(
        "",
        "drain-timeout",
        "SECONDS",
        "when the workload has ended, everything else gets TERM, has this long (5), then gets KILL; 0 skips it",
        _set_drain_timeout,
        (("PYINIT_DRAIN_TIMEOUT", _set_drain_timeout),),
    ),
    Option(
        "",
        "wait-for",
        "main|all",
        "whose end is the end: the workload's (the default), or that of the last process it leaves",
        _set_wait_for,
        (("PYINIT_WAIT_FOR", _set_wait_for),),
    ),
    Option(
        "",
        "orphans",
        "keep|terminate",
        "terminate: end a live process whose parent died (TERM, then KILL after the drain timeout)",
        _set_orphans,
        (("PYINIT_ORPHANS", _set_orphans),),
    ),
    Option(
        "e",
        "remap-exit",
        "CODE[:TO]",
        "exit with TO (0) when the workload exited with CODE; repeatable",
        _add_exit_remap,
        (("PYINIT_REMAP_EXIT", _listed(_add_exit_remap)),),
    ),
    Option(
        "s",
        "subreaper",
        "",
        "become the child subreaper; done in any case when not PID 1, and as PID 1 there is no need",
        _nothing,
        (("TINI_SUBREAPER", _nothing),),
    ),
    Option(
        "p",
        "parent-death-signal",
        "SIGNAL",
        "get this signal when the parent of pyinit dies",
        _set_parent_death_signal,
        (("PYINIT_PARENT_DEATH_SIGNAL", _set_parent_death_signal),),
    ),
    Option(
        "u",
        "user",
        "USER[:GROUP]",
        "run the workload as this user (names or ids), its groups and HOME; takes CAP_SETUID, CAP_SETGID, CAP_KILL",
        _set_user,
        (("PYINIT_USER", _set_user),),
    ),
    Option(
        "P",
        "pause",
        "",
        "no PROGRAM: only reap, until TERM or INT (a pod's pause container)",
        constant("pause", True),
        (("PYINIT_PAUSE", truth("pause")),),
    ),
    Option(
        "w",
        "warn-on-reap",
        "",
        "log a line for each orphan reaped: pid, name, how it ended",
        constant("warn_on_reap", True),
        (("PYINIT_WARN_ON_REAP", truth("warn_on_reap")),),
    ),
    Option(
        "",
        "zombie-watch",
        "SECONDS",
        "look this often for zombies that a living parent does not reap, and name that parent; 0 (the default): never",
        _set_zombie_watch,
        (("PYINIT_ZOMBIE_WATCH", _set_zombie_watch),),
    ),
    Option(
        "v",
        "verbose",
        "",
        "log more; up to three times",
        _add_verbosity,
        (
            ("DUMB_INIT_DEBUG", if_true("verbosity", 3)),
            ("TINI_VERBOSITY", set_verbosity),
            ("PYINIT_VERBOSITY", set_verbosity),
        ),
    ),
    Option("q", "quiet", "", "log errors only", constant("verbosity", 0)),
    Option(
        "",
        "log-format",
        "text|json",
        "one line an event, as text (the default) or as a JSON object",
        _set_log_format,
        (("PYINIT_LOG_FORMAT", _set_log_format),),
    ),
    Option(
        "",
        "exit-report",
        "never|abnormal|always",
        "a line on why the container ends: if that was abnormal (the default), always, or never",
        _set_exit_report,
        (("PYINIT_EXIT_REPORT", _set_exit_report),),
    ),
    Option(
        "",
        "termination-log",
        "PATH",
        "write that line there, too (Kubernetes reads /dev/termination-log)",
        _set_termination_log,
        (("PYINIT_TERMINATION_LOG", _set_termination_log),),
    ),
    Option("l", "license", "", "print the license and exit", constant("show", "license")),
    Option("V", "version", "", "print the version and exit", constant("show", "version")),
    Option("h", "help", "", "print this help and exit", constant("show", "help")),
)

SET_AT_ALL = ("TINI_KILL_PROCESS_GROUP", "TINI_SUBREAPER")
"""Variables whose mere presence counts, even empty: tini's rule."""


def rows(manner: Manner) -> "tuple[Option, ...]":
    """The options that there are."""
    return manner.table or TABLE


def parse(words: "list[str]", environ: "Mapping[bytes, bytes]", manner: Manner = OWN) -> Options:
    """Read the command line (without the program's own name) and the environment.

    Raises:
        UsageError: something of them is malformed, or there is no PROGRAM.
    """
    flags, argv = _from_words(words, rows(manner))
    options = Options(manner)
    for name, value in {**manner.defaults, **_from_environ(environ, manner), **flags}.items():
        setattr(options, name, value)
    options.argv = argv
    if not options.show and options.pause == bool(argv):
        raise UsageError(f"with --pause there is no program, but '{argv[0]}' is given" if argv else "no program given")
    return options


def forget_table() -> None:
    """Give back the memory of what only parsing and the help take: PID 1 would have it for good."""
    global TABLE
    TABLE = ()


def _from_environ(environ: "Mapping[bytes, bytes]", manner: Manner) -> "Settings":
    peers: "Settings" = {}
    own: "Settings" = {}
    for option in rows(manner):
        for variable, store in option.twins:
            value = environ.get(variable.encode()) if variable.startswith(manner.variables) else None
            if value is None or (not value and variable not in SET_AT_ALL):
                continue
            try:
                store(own if variable[:7] == "PYINIT_" else peers, value.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise UsageError(f"environment variable {variable}: {error}") from None
    return {**peers, **own}


def _from_words(words: "list[str]", table: "tuple[Option, ...]") -> "tuple[Settings, list[str]]":
    """Take the options off the front; what is left is the workload."""
    settings: "Settings" = {}
    rest = words[::-1]
    while rest and rest[-1][:1] == "-" and rest[-1] != "-":
        word = rest.pop()
        if word == "--":
            break
        if word[:2] == "--":
            name, equals, value = word[2:].partition("=")
            option = _find_long(name, table)
            if equals and not option.metavar:
                raise UsageError(f"option --{name} takes no value")
            _apply(option, f"--{name}", value if equals else None, rest, settings)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = _find_short(letter, table)
            if option.metavar:
                _apply(option, f"-{letter}", letters or None, rest, settings)
                break
            _apply(option, f"-{letter}", None, rest, settings)
    return settings, rest[::-1]


def _apply(option: Option, name: str, value: "str | None", rest: "list[str]", settings: "Settings") -> None:
    if option.metavar and value is None:
        if not rest:
            raise UsageError(f"option {name} needs a value: {option.metavar}")
        value = rest.pop()
    try:
        option.store(settings, value or "")
    except ValueError as error:
        raise UsageError(f"option {name}: {error}") from None


def _find_short(letter: str, table: "tuple[Option, ...]") -> Option:
    for option in table:
        if option.short == letter:
            return option
    raise UsageError(f"unknown option -{letter}")


def _find_long(name: str, table: "tuple[Option, ...]") -> Option:
    for option in table:
        if option.long == name:
            return option
    close = [f"--{option.long}" for option in table if name and option.long.startswith(name)]
    hint = f"; options are not abbreviated, did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(f"unknown option --{name}{hint}")
