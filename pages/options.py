"""The page docs/options.md, from the table of options."""

import re

from pyinit.options import help as about
from pyinit.options import table
from pyinit.options.settings import OWN
from pyinit.options.table import HEADINGS, TABLE, Option, UsageError

LINKS = {
    "drain-timeout": ("shutdown.md#the-order", "who is asked, in which order"),
    "stop-timeout": ("shutdown.md#choose-the-values", "which timeouts to choose"),
    "wait-for": ("shutdown.md#programs-that-daemonize-or-re-execute-by-forking", "an example"),
    "orphans": ("shutdown.md#live-orphans", "the details"),
    "user": ("migrating.md#another-user", "the details"),
    "session": ("migrating.md#terminals-and-sessions", "the details"),
    "pause": ("migrating.md#pause", "the details"),
    "warn-on-reap": ("log.md", "the events"),
    "zombie-watch": ("zombies.md#get-a-warning", "an example"),
    "log-format": ("log.md", "the events and their fields"),
    "exit-report": ("log.md#the-end", "what it says"),
    "termination-log": ("kubernetes.md#the-termination-message", "how a pod shows it"),
}
"""Where to read more about an option."""

HOW_TWINS_COUNT = {
    "DUMB_INIT_SETSID": "`DUMB_INIT_SETSID=0`",
    "DUMB_INIT_DEBUG": "`DUMB_INIT_DEBUG=1`",
    **{name: f"`{name}` (set at all)" for name in table.SET_AT_ALL},
}
"""How a variable is shown if its value is not that of the option."""

CODE = re.compile(r"(?<![\w`])(--[a-z]+(?:[-=][a-z]+)*|/dev/[a-z-]+|CAP_[A-Z]+)")
"""The parts of a meaning that are formatted as code."""

PAGE = """\
# Options and exit statuses

{usage}

Look up here what an option does, which environment variable means the same, and what the exit status says. `pyinit
--help` and `man pyinit` say it at the prompt. (`make pages` writes this page, from the table that parses the
options.)

Options end at `--` or at the first word that is not an option; what follows is your program's. Short options combine
(`-vvg`), and a value may be attached or separate (`-e143`, `-e 143`, `--remap-exit=143`).

A flag overrides its environment variable (`-vv` logs which). An empty variable counts as not set, except for those
marked "set at all", which are tini's. The *workload* is your program.
{options}
## Mistakes

A malformed value is an error that names the option or the variable, and nothing is started:

    $ pyinit {malformed} -- true
    {error}

An unknown variable that starts with `PYINIT_` is a warning, and by the name of tini or dumb-init also one that starts
with `TINI_` or `DUMB_INIT_`:

    $ {variable}=5 pyinit -- true
    {warning}

[What a message means](errors.md) has every message with its cause and its cure.

## Exit status

| status | when |
|---|---|
| that of your program | it exited |
| 128+N | signal N ended it |
| {failed} | pyinit itself could not go on: bad usage, no such user, fork refused |
| {not_executable} | the program was found and could not be executed |
| {not_found} | the program was not found, or the interpreter or dynamic loader that it needs |

`env`, `timeout` and `docker run` use the same. `--remap-exit` changes the status of your program, and no other.

If a program cannot be started, one line says why, and what to fix:

    pyinit: cannot execute './run.sh': its interpreter '/bin/sh\\r' does not exist: a carriage return \
(\\r) ends the '#!' line, as on Windows; convert the file with dos2unix

## Names

Invoked as `tini`, `docker-init`, `dumb-init` or `catatonit` (a link will do), pyinit takes
[that program's](migrating.md#by-another-name) options, defaults, variables and exit statuses.

tini that is built with GNU getopt also takes options after PROGRAM, and a `--` there, unless `POSIXLY_CORRECT` is set.
pyinit does not.
"""


def page() -> str:
    """The text of the page."""
    malformed, variable = "--drain-timeout=5s", "PYINIT_STOP_TIMOUT"
    return PAGE.format(
        usage="\n".join(f"    {line[7:]}" for line in about.usage(OWN)),
        options="".join(_rows()),
        malformed=malformed,
        error=f"pyinit: {_error(malformed)}; see pyinit --help",
        variable=variable,
        warning=f"pyinit: {_warning(variable)}",
        failed=OWN.failed,
        not_executable=OWN.not_executable,
        not_found=OWN.not_found,
    )


def _rows() -> list[str]:
    """A table for each heading of the help."""
    lines = []
    for option in TABLE:
        if option.long in HEADINGS:
            lines.append(
                f"\n## {HEADINGS[option.long]}\n\n| option, environment variable | default | meaning |\n|---|---|---|\n"
            )
        lines.append(f"| {' | '.join(_cells(option))} |\n")
    return lines


def _cells(option: Option) -> list[str]:
    value = f"={option.metavar}" if option.metavar else ""
    names = [f"-{option.short}"] if option.short else []
    default = about.default_of(option, OWN)
    meaning = CODE.sub(r"`\1`", option.text)
    if option.long in LINKS:
        target, text = LINKS[option.long]
        meaning += f" ([{text}]({target}))"
    ways = [", ".join(f"`{name}`" for name in [*names, f"--{option.long}{value}"]), *_twins(option)]
    cells = [
        "<br>".join(ways),
        f"`{default}`" if default else "",
        meaning,
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def _twins(option: Option) -> list[str]:
    """The option's variables. One that takes several values separates them by commas."""
    return [
        f"`{name}` (comma separated)" if option.add and option.metavar else HOW_TWINS_COUNT.get(name, f"`{name}`")
        for name, _ in option.twins()
    ] + (["`PYINIT_VERBOSITY=0`"] if option.long == "quiet" else [])


def _error(word: str) -> str:
    """The error for a malformed option."""
    try:
        table.parse([word, "--", "true"], {})
    except UsageError as error:
        return str(error)
    raise AssertionError(f"{word} is not an error")


def _warning(variable: str) -> str:
    """The warning about an unknown variable."""
    ((_, _, text),) = table.parse(["--", "true"], {variable.encode(): b"5"}).remarks
    return text
