"""The table of options, which parses the command line and the environment, and from which the help is made.

A later source overrides an earlier one: the defaults, the environment variables of tini and dumb-init, those of pyinit,
the flags.
"""

from ..kernel.signals import number_of
from . import values
from .settings import OWN, Persona, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .settings import Field, Remark

    Converter = Callable[[str], object]
    Fields = dict[Field, tuple[object, str]]
    """The value of each field, and the flag or environment variable that set it."""


class UsageError(Exception):
    """The command line or an environment variable is malformed; the text names it and gives the reason."""

    settings: Settings
    """What could be read all the same."""


class NoProgram(UsageError):
    """There is no PROGRAM on the command line."""


class Option:
    """An option: how it is written, what the help says about it, and which field of the settings it sets."""

    __slots__ = ("add", "also", "convert", "field", "long", "metavar", "peers", "short", "text", "twin", "value")

    def __init__(
        self,
        short: str,
        long: str,
        metavar: str,
        text: str,
        field: "Field | None",
        value: object = None,
        *,
        convert: "Converter | None" = None,
        add: "Callable[[Any, Any], object] | None" = None,
        twin: "Converter | None" = None,
        peers: "tuple[tuple[str, Converter], ...]" = (),
        also: "Mapping[Field, object] | None" = None,
    ) -> None:
        self.short = short
        """Its letter; empty if it has none."""
        self.long = long
        self.metavar = metavar
        """The name of the value in the help; empty for an option that takes none."""
        self.text = text
        """What the help says."""
        self.field = field
        """The field that it sets; None if it sets nothing."""
        self.value = value
        """The value of an option that takes none."""
        self.convert = convert
        """Turns the text into the value, or raises ValueError with the reason."""
        self.add = add
        """Combines the value so far (None at first) with a further one; None: the last one counts."""
        self.twin = twin or convert
        """Converts the text of the variable that is named after the option; None: there is no such variable."""
        self.peers = peers
        """Further variables that set the field: their names and converters. A converter returns None where the variable
        sets nothing."""
        self.also = also
        """Further fields that it sets."""

    def twins(self) -> "tuple[tuple[str, Converter], ...]":
        """The environment variables that set the field; of several, the last one counts."""
        if self.twin is None:
            return self.peers
        return (*self.peers, (f"PYINIT_{self.long.upper().replace('-', '_')}", self.twin))


TABLE = (
    Option(
        "g",
        "process-group",
        "",
        "same as --forward-to=group",
        "forward_to",
        "group",
        peers=(("TINI_KILL_PROCESS_GROUP", values.always("group")),),
    ),
    Option(
        "c",
        "single-child",
        "",
        "same as --forward-to=child",
        "forward_to",
        "child",
        peers=(("DUMB_INIT_SETSID", values.if_false("child")),),
    ),
    Option(
        "",
        "forward-to",
        "child|group|all",
        "the receivers of a forwarded signal: the workload alone, its process group, or every process",
        "forward_to",
        convert=values.one_of("child", "group", "all"),
    ),
    Option(
        "r",
        "rewrite",
        "FROM:TO",
        "deliver the signal TO instead of FROM: names (TERM, SIGTERM, RTMIN+3) or numbers; TO 0 drops it; repeatable",
        "rewrite",
        convert=values.rewrite,
        add=values.merged,
        twin=values.listed(values.rewrite),
    ),
    Option(
        "t",
        "stop-timeout",
        "SECONDS",
        "kill the workload if it is alive this long after the first stop signal (TERM, INT or QUIT)",
        "stop_timeout",
        convert=values.seconds,
    ),
    Option(
        "",
        "drain-timeout",
        "SECONDS",
        "when the workload has ended, ask the remaining processes to end, and kill them this much later; 0: neither",
        "drain_timeout",
        convert=values.seconds,
    ),
    Option(
        "",
        "wait-for",
        "main|all",
        "exit after the workload has ended (main), or after the last process has (all: for programs that daemonize or "
        "re-execute by forking)",
        "wait_for",
        convert=values.one_of("main", "all"),
    ),
    Option(
        "",
        "orphans",
        "keep|terminate",
        "terminate: end live processes whose parent died, with TERM, then KILL after the drain timeout",
        "orphans",
        convert=values.one_of("keep", "terminate"),
    ),
    Option(
        "e",
        "remap-exit",
        "CODE[:TO]",
        "exit with TO (0 if it is not given) if the workload exited with CODE; repeatable",
        "exit_remap",
        convert=values.exit_remap,
        add=values.merged,
        twin=values.listed(values.exit_remap),
    ),
    Option(
        "w",
        "warn-on-reap",
        "",
        "log a line for each orphan reaped: pid, name, how it ended",
        "warn_on_reap",
        True,
        twin=values.boolean,
    ),
    Option(
        "",
        "zombie-watch",
        "SECONDS",
        "look this often for zombies that a living parent does not reap, and name that parent; 0: never",
        "zombie_watch",
        convert=values.seconds,
    ),
    Option(
        "v",
        "verbose",
        "",
        "log more; up to three times",
        "verbosity",
        1,
        add=values.louder,
        peers=(
            ("DUMB_INIT_DEBUG", values.if_true(3)),
            ("TINI_VERBOSITY", values.verbosity),
            ("PYINIT_VERBOSITY", values.verbosity),
        ),
    ),
    Option("q", "quiet", "", "log errors only", "verbosity", 0),
    Option(
        "",
        "log-format",
        "text|json",
        "log each event as a line of text or as a JSON object",
        "json",
        convert=values.is_json,
    ),
    Option(
        "",
        "exit-report",
        "never|abnormal|always",
        "log one line on why the container ends: never, only if it ends abnormally, or always",
        "exit_report",
        convert=values.one_of("never", "abnormal", "always"),
    ),
    Option(
        "",
        "termination-log",
        "PATH",
        "write that line to this file, too (Kubernetes reads /dev/termination-log)",
        "termination_log",
        convert=values.absolute_path,
    ),
    Option(
        "u",
        "user",
        "USER[:GROUP]",
        "run the workload as this user (names or ids), with its supplementary groups, HOME, USER and LOGNAME; needs "
        "CAP_SETUID and CAP_SETGID, CAP_KILL to send it signals, and CAP_CHOWN for /dev/stdout and the like",
        "user",
        convert=values.user,
    ),
    Option(
        "",
        "session",
        "",
        "run the workload in its own session, with the controlling terminal, as dumb-init does; without it, in its own "
        "foreground process group, as tini does",
        "session",
        True,
        twin=values.boolean,
    ),
    Option(
        "s",
        "subreaper",
        "",
        "become the child subreaper; automatic if pyinit is not PID 1, and not needed if it is",
        None,
        peers=(("TINI_SUBREAPER", values.always(None)),),
    ),
    Option(
        "p",
        "parent-death-signal",
        "SIGNAL",
        "get this signal when the parent of pyinit dies",
        "parent_death_signal",
        convert=number_of,
    ),
    Option(
        "P",
        "pause",
        "",
        "run no PROGRAM, only reap, until TERM or INT (the pause container of a pod)",
        "pause",
        True,
        twin=values.boolean,
    ),
    Option("l", "license", "", "print the license and exit", "show", "license"),
    Option("V", "version", "", "print the version and exit", "show", "version"),
    Option("h", "help", "", "print this help and exit", "show", "help"),
)
"""pyinit's own options, in the order of the help."""

HEADINGS = {
    "process-group": "Signals",
    "stop-timeout": "The end",
    "warn-on-reap": "The log",
    "user": "Users, sessions and the process tree",
    "license": "Information",
}
"""The headings of the help, by the long name of the first option below each."""

SET_AT_ALL = ("TINI_KILL_PROCESS_GROUP", "TINI_SUBREAPER")
"""Variables that count even if they are empty: tini's rule."""


class Peer(Persona):
    """A persona with a table of its own."""

    __slots__ = ("table",)

    table: "tuple[Option, ...]"


def rows(persona: Persona) -> "tuple[Option, ...]":
    """The options of a persona."""
    return persona.table if isinstance(persona, Peer) else TABLE


def parse(words: "list[str]", environ: "Mapping[bytes, bytes]", persona: Persona = OWN) -> Settings:
    """Read the command line, without the program's own name, and the environment.

    Raises:
        UsageError: a part of them is malformed, or PROGRAM is missing.
    """
    flags: "Fields" = {}
    further: "Fields" = {}
    complaints: "list[UsageError]" = []
    unread = words[::-1]
    try:
        _from_words(unread, rows(persona), flags)
    except UsageError as error:
        complaints.append(error)
        further = _read_on(unread, rows(persona))
    skips_environ = "show" in flags and not complaints
    variables, remarks = ({}, []) if skips_environ else _from_environ(environ, persona, complaints)
    if unread[-1:] == ["--"]:
        unread.pop()
    settings = Settings(persona)
    for field, default in persona.defaults.items():
        setattr(settings, field, default)
    for field, (value, _) in {**further, **variables, **flags}.items():
        setattr(settings, field, value)
    settings.argv = argv = unread[::-1]
    if settings.pause and argv and not settings.show:
        complaints.append(UsageError(f"--pause takes no program, but '{argv[0]}' is given"))
    if not (settings.pause or argv or settings.show):
        complaints.append(NoProgram("no program given"))
    if complaints:
        complaints[0].settings = settings
        raise complaints[0]
    overridden = {variables[field][1]: flags[field][1] for field in flags if field in variables}
    for variable, flag in overridden.items():
        remarks.append((False, variable, f"environment variable {variable} has no effect: {flag} overrides it"))
    settings.remarks = remarks
    return settings


def _read_on(unread: "list[str]", table: "tuple[Option, ...]") -> "Fields":
    """The options after a malformed word. `unread`: the words after it, the last one first.

    Which of them are ours cannot be told without a ``--``: that depends on whether the malformed one takes a value. So
    they count only where nothing else does, and the first counts: PROGRAM's may follow.
    """
    further: "Fields" = {}
    while unread and unread[-1] != "--":
        flags: "Fields" = {}
        try:
            _from_words(unread, table, flags)
            if unread[-1:] != ["--"]:
                del unread[-1:]
        except UsageError:
            pass
        further = {**flags, **further}
    return further


def _from_environ(
    environ: "Mapping[bytes, bytes]", persona: Persona, complaints: "list[UsageError]"
) -> "tuple[Fields, list[Remark]]":
    """Read the environment variables, with remarks on unknown ones; pyinit's own override those of the peers."""
    prefixes = tuple([prefix.encode() for prefix in persona.variables])
    texts = {
        name.decode("utf-8", "surrogateescape"): text for name, text in environ.items() if name.startswith(prefixes)
    }
    peers: "Fields" = {}
    own: "Fields" = {}
    known = []
    for option in rows(persona) if texts else ():
        for variable, convert in option.twins():
            known.append(variable)
            text = texts.get(variable)
            if text is None or (not text and variable not in SET_AT_ALL):
                continue
            try:
                value = convert(text.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                complaints.append(UsageError(f"environment variable {variable}: {error}"))
                value = _stand_in(option)
            _store(value, option, variable, own if variable[:7] == "PYINIT_" else peers)
    unknown = [name for name, text in texts.items() if text and name not in known]
    if not unknown:
        return {**peers, **own}, []
    from .unknown import variables

    return {**peers, **own}, variables(unknown, known, persona)


def _from_words(words: "list[str]", table: "tuple[Option, ...]", flags: "Fields") -> None:
    """Note the options. `words`, the last one first, are taken off the end; left are the ``--`` and those after it."""
    while words and words[-1][:1] == "-" and words[-1] not in ("-", "--"):
        word = words.pop()
        if word[:2] == "--":
            name, equals, text = word[2:].partition("=")
            option = _find_long(name, table)
            if equals and not option.metavar:
                raise UsageError(f"option --{name} takes no value")
            _apply(option, f"--{name}", text if equals else None, words, flags)
            continue
        letters = word[1:]
        while letters:
            option = _find_short(letters, table, words)
            letter, letters = letters[0], letters[1:]
            if option.metavar:
                _apply(option, f"-{letter}", letters or None, words, flags)
                break
            _apply(option, f"-{letter}", None, words, flags)


def _apply(option: Option, name: str, text: "str | None", words: "list[str]", flags: "Fields") -> None:
    """Note an option of the command line; its value is the next word unless it was attached."""
    value = option.value
    if option.convert:
        if text is None and not words:
            _store(_stand_in(option), option, name, flags)
            raise UsageError(f"option {name} needs a value: {option.metavar}")
        try:
            value = option.convert(words.pop() if text is None else text)
        except ValueError as error:
            _store(_stand_in(option), option, name, flags)
            raise UsageError(f"option {name}: {error}") from None
    if option.add and option.field:
        value = option.add(flags.get(option.field, (None,))[0], value)
    _store(value, option, name, flags)


def _stand_in(option: Option) -> object:
    """What counts in place of a malformed value: for the user one without rights, for all else nothing.

    Whoever was meant may have put a link in the place of the termination log, which must not be written as root then.
    """
    return values.user("65534:65534") if option.field == "user" else None


def _store(value: object, option: Option, source: str, fields: "Fields") -> None:
    """Note a value of an option; None sets nothing."""
    if option.field and value is not None:
        fields[option.field] = value, source
        for field, further in (option.also or {}).items():
            fields[field] = further, source


def _find_short(letters: str, table: "tuple[Option, ...]", unread: "list[str]") -> Option:
    for option in table:
        if option.short == letters[0]:
            return option
    unread.append("-" + letters[1:].lstrip("-"))  # for `_read_on`
    raise UsageError(f"unknown option -{letters[0]}")


def _find_long(name: str, table: "tuple[Option, ...]") -> Option:
    for option in table:
        if option.long == name:
            return option
    close = [f"--{option.long}" for option in table if name and option.long.startswith(name)]
    if close:
        hint = f"; options are not abbreviated, did you mean {' or '.join(close)}?"
    else:
        from .unknown import nearest

        meant = nearest(name, [option.long for option in table])
        hint = f"; did you mean --{meant}?" if meant else ""
    raise UsageError(f"unknown option --{name}{hint}")
