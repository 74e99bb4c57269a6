"""Bad input on the command line, in the environment, in /proc or in a page of counters never causes a traceback, and
never forges a line or a terminal escape in our output.

``FUZZ_EXAMPLES=20000`` tries more examples than the few hundred of a usual run. Tests of bad input that are in
test_options.py, test_procfs.py, test_user.py, test_counters.py, test_log.py and test_containers.py are not repeated.
"""

import argparse
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pyinit import main
from pyinit.ctl import ages, clear, commands, health, picture, published, tree
from pyinit.ctl import zombies as zombies_command
from pyinit.ctl.failure import CannotLook
from pyinit.kernel import cgroup, procfs, signals
from pyinit.options import help as about
from pyinit.options import table, without_options
from pyinit.options.settings import OWN, Persona, Settings
from pyinit.options.table import UsageError
from pyinit.reporting import zombies
from pyinit.reporting.log import Log, printable, quoted
from pyinit.workload import adopted, environment
from tests.unit import bad_input
from tests.unit.bad_input import BYTES, COMMAND_LINES, COMMS, PERSONAS, TEXT, Chosen, Forged, Proc, Written, tried
from tests.unit.test_counters import CONTENT, hold_shape, holding, page_of

pytestmark = pytest.mark.slow


def settings_of(parsed: Settings) -> dict[str, object]:
    """All settings, in a form that can be compared."""
    found: dict[str, object] = {name: getattr(parsed, name) for name in Settings.__slots__}
    if parsed.user:
        found["user"] = parsed.user.text, parsed.user.variables
    return found


# The command line and its environment twins.

PARSED = st.sampled_from(PERSONAS).flatmap(
    lambda persona: st.tuples(st.just(persona), bad_input.command_lines(persona), bad_input.environs(persona, False))
)


@given(PARSED)
@tried(200)
def test_a_command_line_yields_settings_or_one_line_that_says_what_is_wrong(
    given: tuple[Persona, list[str], dict[bytes, bytes]],
) -> None:
    """Under each persona, with any words and variables. Parsing again gives the same result."""
    persona, words, environ = given
    try:
        parsed = table.parse(words, environ, persona)
    except UsageError as error:
        said = str(error)
        line = Log().line(0, "usage", said, {}).decode()
        assert line.count("\n") == 1 and line.removesuffix("\n").isprintable()
        with pytest.raises(UsageError) as again:
            table.parse(words, environ, persona)
        assert str(again.value) == said
        return
    assert parsed.argv == words[len(words) - len(parsed.argv) :]
    assert parsed.show or bool(parsed.argv) != parsed.pause
    assert settings_of(table.parse(words, environ, persona)) == settings_of(parsed)


@given(
    st.just(OWN) | st.sampled_from(PERSONAS),
    st.lists(st.sampled_from(["-", "--", "-v", "--v", "", "ls"]) | bad_input.WORDS, max_size=3),
    st.just({})
    | st.dictionaries(
        st.sampled_from(
            [b"PATH", b"PYINIT_SESSION", b"TINI_KILL_PROCESS_GROUP", b"DUMB_INIT_DEBUG", b"PYINIT_", b"TINI"]
        ),
        st.sampled_from([b"", b"1"]),
        max_size=2,
    ),
)
@tried(400)
def test_a_command_line_without_options_is_read_as_the_table_reads_it(
    persona: Persona, words: list[str], environ: dict[bytes, bytes]
) -> None:
    """The fast path for command lines without options gives the same settings."""
    taken = without_options(words, environ, persona)
    if taken:
        assert settings_of(taken) == settings_of(table.parse(words, environ, persona))
    elif persona is OWN and not environ and words[:1] not in ([], ["--"]):
        assert words[0].startswith("-"), "the fast path should take this command line"


@given(
    st.sampled_from(PERSONAS)
    .flatmap(
        lambda persona: st.tuples(st.just(persona), st.lists(bad_input.chosen(persona, is_valid=True), max_size=5))
    )
    .flatmap(
        lambda one: st.tuples(
            st.just(one[0]), *[st.tuples(*[st.sampled_from(said.spellings()) for said in one[1]])] * 2
        )
    )
)
@tried(120)
def test_all_spellings_of_an_option_mean_the_same(
    given: tuple[Persona, tuple[list[str], ...], tuple[list[str], ...]],
) -> None:
    """Short or long, with an attached or a separate value."""
    persona, *ways = given
    one, other = ([word for said in way for word in said] for way in ways)
    program = [] if "-P" in one or "--pause" in one else ["--", "ls", "-v"]
    parsed = settings_of(table.parse([*one, *program], {}, persona))
    assert settings_of(table.parse([*other, *program], {}, persona)) == parsed
    assert parsed["argv"] == program[1:]


@given(
    st.sampled_from(PERSONAS).flatmap(
        lambda persona: st.tuples(
            st.just(persona),
            st.lists(
                bad_input.chosen(persona, is_valid=True).filter(
                    lambda one: one.option.long not in ("pause", "help", "version", "license")
                ),
                max_size=4,
            ),
            bad_input.environs(persona, True),
        )
    )
)
@tried(100)
def test_a_flag_beats_its_twin(given: tuple[Persona, list[Chosen], dict[bytes, bytes]]) -> None:
    """A setting comes from the flag, and from the environment variable only if there is no flag."""
    persona, said, environ = given
    environ.pop(b"PYINIT_PAUSE", None)
    words = [word for one in said for word in one.spellings()[0]]
    flags = settings_of(table.parse([*words, "ls"], {}, persona))
    twins = settings_of(table.parse(["ls"], environ, persona))
    both = settings_of(table.parse([*words, "ls"], environ, persona))
    named: table.Fields = {}
    table._from_words(words[::-1], table.rows(persona), named)
    both["remarks"] = twins["remarks"]
    assert both == twins | {name: flags[name] for name in named} | {"argv": ["ls"]}


@given(
    st.sampled_from(PERSONAS).flatmap(
        lambda persona: st.tuples(st.just(persona), bad_input.environs(persona, is_valid=False))
    )
)
@tried(120)
def test_a_malformed_twin_is_named(given: tuple[Persona, dict[bytes, bytes]]) -> None:
    """The error names a malformed variable: without that variable, the error is gone or names another one."""
    persona, environ = given
    environ.pop(b"PYINIT_PAUSE", None)
    while True:
        try:
            table.parse(["ls"], environ, persona)
            return
        except UsageError as error:
            start, _, name = str(error).partition(":")[0].rpartition(" ")
            assert start == "environment variable" and name.startswith(persona.variables)
            assert environ.pop(name.encode())


SECONDS = re.compile(r"(?=.?[0-9])[0-9]{0,9}(\.[0-9]{0,9})?")
STATUS = r"0*(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
WRITTEN = {
    "forward-to": re.compile("child|group|all"),
    "remap-exit": re.compile(f"{STATUS}(:{STATUS})?"),
    "stop-timeout": SECONDS,
    "zombie-watch": SECONDS,
}


@given(
    st.sampled_from(list(WRITTEN)).flatmap(
        lambda name: st.tuples(st.just(name), bad_input.edited(bad_input.VALUES[name]) | TEXT)
    )
)
@example(("stop-timeout", "\u0663"))
@example(("remap-exit", "1:\u0663"))
@tried(200)
def test_only_a_well_formed_value_is_accepted(given: tuple[str, str]) -> None:
    """Python accepts more numbers than other programs: with blanks, underscores, and digits of all scripts."""
    name, value = given
    try:
        table.parse([f"--{name}={value}", "ls"], {})
    except UsageError as error:
        assert str(error).startswith(f"option --{name}: ")
        assert not WRITTEN[name].fullmatch(value)
    else:
        assert WRITTEN[name].fullmatch(value)


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: str(persona.name))
def test_the_help_of_each_persona_is_printable(persona: Persona) -> None:
    """It has no escapes, and no line that a terminal of 80 columns would wrap."""
    lines = about.text_of(persona).split("\n")
    assert all(line.isprintable() and len(line) <= 80 for line in lines)
    assert all(any(f"--{row.long}" in line for line in lines) for row in table.rows(persona))


@given(text=TEXT | st.sampled_from(sorted(signals._names())).flatmap(lambda name: bad_input.edited(st.just(name))))
@example("\u0131NT")
@example("\u017figterm")
@tried(200)
def test_only_the_name_of_a_signal_is_accepted(text: str) -> None:
    """A letter that matches only in upper case, such as a dotless i, is not accepted."""
    try:
        number = signals.number_of(text)
    except ValueError as error:
        assert str(error) == f"there is no signal '{text}'"
    else:
        assert number in signals.ALL and text.isascii()


# The -X options that one of our interpreters passes to the next.


@given(
    name=st.just("pyinit") | bad_input.WORDS.filter(lambda word: word not in ("", "-")),
    mask=st.lists(st.sampled_from([*map(str, signals.ALL), "", "9" * 30, "-1", "x", "²"]), max_size=4).map(",".join),
)
@example(name=True, mask=True)
@tried(30)
def test_interpreter_options_are_accepted_or_refused_with_one_line(name: object, mask: object) -> None:
    """Anybody can pass ``-X name`` and ``-X mask``. Without a value they are True."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:  # main() exits
        try:
            os.dup2(theirs, 1)
            os.dup2(theirs, 2)
            main.main([name, "--version"], set(), {"name": name, "mask": mask})  # type: ignore[list-item, dict-item]
        finally:
            os._exit(99)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        output = file.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 125, 1), output
    assert output.endswith("\n") and output.removesuffix("\n").isprintable(), output


@given(text=bad_input.edited(st.sampled_from(["7:1.5:True:False:9", "7:1.5:False:True:9"])) | TEXT)
@example("7:1.5:True:False:9")
@example("7:1.5:True:False:9:1")
@tried(100)
def test_a_malformed_description_of_a_workload_is_a_value_error(text: str) -> None:
    """It is the value of ``-X workload``."""
    parsed = Settings()
    parsed.argv = ["app"]
    try:
        found = adopted.Adopted(text, parsed)
    except ValueError:
        return
    assert text.count(":") == 4
    assert isinstance(found.pid, int) and isinstance(found.started, float)


VALUES = st.sampled_from([b"", b"C", b"C.UTF-8", b"C.utf8", b"UTF-8", b"de_DE"]) | BYTES
ENTRIES = st.one_of(
    BYTES,
    BYTES.map(lambda value: b"LC_CTYPE" + value),
    VALUES.map(lambda value: b"LC_CTYPE=" + value),
    st.builds(b"%b=%b".__mod__, st.tuples(st.sampled_from([b"LANG", b"LC_ALL", b"A"]), VALUES)),
)


@given(original=st.lists(ENTRIES, max_size=5), is_coerced=st.booleans(), is_known=st.just(True))
@example(original=[b"A=1"], is_coerced=True, is_known=False)
@tried(150)
def test_any_environment_is_restored(original: list[bytes], is_coerced: bool, is_known: bool) -> None:
    """Even with duplicate or missing names. Only the change that CPython made (PEP 538) is undone."""
    now = list(original)

    def index_of(name: bytes) -> int | None:
        return next((place for place, entry in enumerate(now) if entry.startswith(name + b"=")), None)

    def put(name: bytes, value: bytes) -> None:  # like setenv(3)
        place = index_of(name)
        now[len(now) if place is None else place : len(now) if place is None else place + 1] = [name + b"=" + value]

    def drop(name: bytes) -> None:  # like unsetenv(3)
        now[:] = [entry for entry in now if not entry.startswith(name + b"=")]

    if is_coerced:  # CPython does so only in the C locale
        place = index_of(b"LC_ALL")
        assume(place is None or now[place] == b"LC_ALL=")
        put(b"LC_CTYPE", b"C.UTF-8")
    variables: dict[bytes, bytes] = {}
    for entry in now:  # like posix.environ: the first entry of a name counts
        name, equals, value = entry.partition(b"=")
        if equals:
            variables.setdefault(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "posix", SimpleNamespace(environ=variables, putenv=put, unsetenv=drop))
        patch.setattr(environment, "_original", lambda: [*original, b""] if is_known else None)
        environment.restore()
    assert now == original


# /proc.


@given(comm=st.binary(min_size=1, max_size=15).map(lambda name: name.replace(b"\0", b"?")) | COMMS)
@tried(100)
def test_a_process_with_any_name_is_read_right(comm: bytes) -> None:
    """This process takes the name, so the real /proc shows it."""
    pid = os.getpid()
    comm_file = Path("/proc/self/comm")
    before = comm_file.read_bytes().removesuffix(b"\n")
    try:
        comm_file.write_bytes(comm)
        found, status = procfs.process(pid), procfs.record("/proc/self/status") or b""
        name = procfs.name_of(pid)
        is_shown_as_zombie = zombies._shown(str(pid))
        last_run = ages._last_run("self")
    finally:
        comm_file.write_bytes(before)
    assert found and (found.pid, found.parent, found.threads >= 1) == (pid, os.getppid(), True)
    assert name == found.name == comm.decode("utf-8", "surrogateescape")
    assert commands.name_of(found).isprintable()
    assert is_shown_as_zombie is None
    assert (procfs.field(status, b"Pid"), procfs.field(status, b"PPid")) == (b"%d" % pid, b"%d" % os.getppid())
    assert last_run is None or 0 < last_run < 1e9


@given(comm=COMMS, groups=st.integers(0, 4), cut=st.integers(0, 400))
@tried(150)
def test_a_truncated_field_counts_as_missing(comm: bytes, groups: int, cut: int) -> None:
    """A truncated number would be another number: 12 instead of 123."""
    whole = Forged(4567, 89, comm, groups=groups).status()
    for name in (b"PPid", b"NSpid", b"SigCgt"):
        assert procfs.field(whole[:cut], name) in (b"", procfs.field(whole, name))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to set many groups")
@pytest.mark.parametrize("count", [0, min(2000, os.sysconf("SC_NGROUPS_MAX"))])
def test_the_pids_of_a_process_in_many_groups_are_read(count: int) -> None:
    """The line of the groups comes first, and can be longer than one read."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([10**9 + number for number in range(count)])
            os.write(theirs, b"+")
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(theirs)
        assert os.read(ours, 1) == b"+"
        assert procfs.pids(child)[:1] == [child]
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@given(content=BYTES | BYTES.map(lambda raw: b"Name:\tx\nNSpid:\t" + raw) | st.just(b"Name:\tx\nNSpid:\t7\t1\n"))
@tried(200)
def test_the_pids_of_any_status_file_are_numbers(content: bytes) -> None:
    """A sandbox may forge the file."""
    proc = Proc([])
    proc.files["/proc/7/status"] = content
    with bad_input.shown(proc):
        assert all(isinstance(one, int) for one in procfs.pids(7))


@given(command_line=COMMAND_LINES, longest=st.integers(1, 80), comm=COMMS)
@tried(150)
def test_a_command_is_one_line_of_limited_length(command_line: bytes, longest: int, comm: bytes) -> None:
    """Any command line is shown as printable text."""
    process = Forged(7, 1, comm, command_line=command_line)
    with bad_input.shown(Proc([process])):
        text = commands.command_of(procfs.Process(process.stat()), longest)
    assert text.isprintable()
    assert len(text) <= longest or text == printable(comm.decode("utf-8", "surrogateescape"))


COMMANDS: list[tuple[Callable[[argparse.Namespace], int], dict[str, object]]] = [
    (zombies_command.run, {"json": False, "host": False}),
    (zombies_command.run, {"json": True, "host": False}),
    (tree.run, {"depth": None}),
    (tree.run, {"depth": 1}),
    (clear.run, {"dry_run": True, "terminate_parent": True}),
]


def printed(run: Callable[[argparse.Namespace], int], **chosen: object) -> tuple[int, str]:
    """Run a command; return its status and its output."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(io.StringIO()):
            status = run(argparse.Namespace(**chosen))
            sys.stdout.flush()
        file.seek(0)
        return status, file.read()


@given(
    family=bad_input.families(),
    damage=bad_input.damages(),
    which=st.sampled_from(COMMANDS),
    root=st.sampled_from([None, 1, 2]),
)
@tried(120)
def test_commands_about_processes_print_printable_lines(
    family: list[Forged],
    damage: Callable[[Proc], None],
    which: tuple[Callable[[argparse.Namespace], int], dict[str, object]],
    root: int | None,
) -> None:
    """With any names, and with damaged files in /proc."""
    proc = Proc(family)
    damage(proc)
    run, chosen = which
    with bad_input.shown(proc):
        try:
            status, text = printed(run, **chosen, pid=root)
        except CannotLook as error:
            assert "\n" not in str(error)
            return
    assert status in (0, 1) and text.endswith("\n")
    assert all(line.isprintable() for line in text.removesuffix("\n").split("\n")), text
    if chosen.get("json"):
        json.loads(text, parse_constant=pytest.fail)


@given(family=bad_input.families())
@tried(60)
def test_each_zombie_has_its_own_line(family: list[Forged]) -> None:
    """It has the zombie's name, in text and in JSON."""
    dead = {one.pid: one for one in family if one.state == b"Z"}
    with bad_input.shown(Proc(family)):
        _, text = printed(zombies_command.run, json=False, host=False, pid=None)
        _, as_json = printed(zombies_command.run, json=True, host=False, pid=None)
        verdicts = picture.take(None).verdicts
    listed = json.loads(as_json)["zombies"]
    names = {one.pid: printable(one.comm.decode("utf-8", "surrogateescape")) for one in dead.values()}
    assert {one["pid"]: one["name"] for one in listed} == names
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) == (1 + len(dead) + 2 + len(verdicts) if dead else 1)
    assert {int(line.split()[0]) for line in lines[1 : 1 + len(dead)]} == set(dead)


@pytest.mark.parametrize("command", ["zombies", "tree", "clear"])
def test_a_name_that_the_output_encoding_lacks_is_printed(command: str) -> None:
    """With an old locale, or with ``PYTHONIOENCODING``. (A truncated command ends with such a character, too.)"""
    child = os.fork()
    if child == 0:
        try:
            Path("/proc/self/comm").write_text("Жé")
        finally:
            os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        words = [sys.executable, "-m", "pyinit.ctl", command, f"--pid={os.getpid()}"]
        done = subprocess.run(
            [*words, "--dry-run"] if command == "clear" else words,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            text=True,
        )
    finally:
        os.waitpid(child, 0)
    assert (done.returncode, done.stderr) == (0 if command == "tree" else 1, "")
    assert command == "clear" or r"\u0416\xe9" in done.stdout


# cgroups.

FOLDERS = [" ", "a\tb", "a\\x2db", "a\\040b", "..", "é", "a\x0c4:memory:", "a\x1cb", "a\u2028b", "\udcff", "a - b"]
PATHS = st.lists(st.sampled_from(["docker", *FOLDERS]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)


def mangled(path: str) -> str:
    """The path as the kernel escapes it in mountinfo (proc_pid_mountinfo(5))."""
    for char in "\\ \t\n":
        path = path.replace(char, f"\\{ord(char):03o}")
    return path


@given(root=PATHS, below=PATHS, point=PATHS, is_first=st.booleans())
@tried(300)
def test_a_cgroup_with_any_path_is_found(root: str, below: str, point: str, is_first: bool) -> None:
    """mountinfo escapes blanks and backslashes, /proc/self/cgroup does not. In both, only a newline ends a line, while
    Python has more line separators."""
    kind, number = ("cgroup", "4:memory") if is_first else ("cgroup2", "0:")
    mount = f"32 31 0:29 {mangled(root) or '/'} {mangled('/sys' + point)} ro - {kind} x rw,memory\n"
    files = cgroup.find(f"1 0 0:5 / / rw - overlay overlay rw\n{mount}", f"{number}:{root + below or '/'}\n")
    assert {file.rpartition("/")[0] for file in files} == {f"/sys{point}{below}"}


@given(
    mounts=bad_input.edited(st.just("32 31 0:29 / /c rw - cgroup2 x rw\n41 31 0:33 /d /m rw - cgroup x rw,memory\n")),
    memberships=bad_input.edited(st.just("4:cpu,memory:/d/e\n0::/f\n")),
    contents=st.lists(
        BYTES | BYTES.map(lambda raw: b"oom_kill " + raw) | st.sampled_from([b"oom_kill 3\n", b"max\n", b"9" * 5000]),
        min_size=3,
        max_size=3,
    ),
)
@tried(200)
def test_values_of_the_cgroup_are_numbers_or_none(mounts: str, memberships: str, contents: list[bytes]) -> None:
    """With any content of the files."""
    fixed = {"/proc/self/mountinfo": mounts, "/proc/self/cgroup": memberships}
    files = {path: text.encode("utf-8", "surrogatepass") for path, text in fixed.items()}

    def read(path: str) -> bytes:
        kinds = ["memory.events", "memory.oom_control"], ["memory.max", "memory.limit_in_bytes"]
        name = path.rpartition("/")[2]
        return files.get(path) or contents[next((n for n, names in enumerate(kinds) if name in names), 2)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(procfs, "read", read)
        memory = cgroup.Memory()
        assert memory.kills() in (None, 0)
        limit, peak = memory.limit(), memory.peak()
    assert limit is None or 0 <= limit < 1 << 62
    assert peak is None or peak >= 0


# The page of counters.

BODY = json.dumps(CONTENT)
UP = {**CONTENT, "stage": "running", "wait_status": None}
RUNNING = json.dumps(UP)


def state(number: int, orphans: int) -> bytes:
    """A page with this sequence number. Its length grows with the number of orphans."""
    text = b"{%s}\n%d\n" % (b"1" * orphans, number)
    head = b"pyinit-status 1 1.2 %d %d" % (80 + len(text), number)
    return b"%s\n%s" % (head.ljust(79), text)


@given(bad_input.writings(state))
@example(Written([state(1, 15), state(2, 16), state(3, 0)], [(0, 101), (122, 122), (122, 122)]))
@tried(300)
def test_a_read_during_writes_returns_one_state_or_fails(writing: Written) -> None:
    """However far the writer is at each read."""
    looks = iter(range(3))
    with pytest.MonkeyPatch.context() as patch, holding(b"") as _:
        patch.setattr(published, "_all", lambda fd: writing.seen(next(looks)))
        try:
            text, _ = published._object_in("/dev/null", 1, until=0)
        except CannotLook as error:
            assert "being written all the time" in str(error)
            return
    assert text in [one[80:].split(b"\n")[0] for one in writing.states]


@given(
    head=bad_input.edited(st.just("pyinit-status 1 1.2 400 7"))
    | st.builds("pyinit-status 1 1.2 {} {}".format, st.integers(0, 10**6), st.sampled_from([7, 0, 10**17])),
    cut=st.integers(0, 400),
)
@tried(300)
def test_a_page_with_a_wrong_length_is_refused_or_read(head: str, cut: int) -> None:
    """The length is longer than the file, or shorter than the first line."""
    content = head.encode("utf-8", "surrogatepass").ljust(79) + f"\n{BODY}\n7\n".encode()[:cut]
    with pytest.MonkeyPatch.context() as patch, holding(content):
        patch.setattr(published, "_PATIENCE", -1.0)
        try:
            seen = published.read(os.getpid())
        except CannotLook as error:
            assert printable(str(error)) == str(error)
            return
    hold_shape(seen)


ODD = st.sampled_from(["NaN", "-Infinity", "1e999", "-0", "1" * 5000, "[" * 9000, "{}", '""', "true", "127", "65536"])


@given(
    body=bad_input.edited(bad_input.edited(st.sampled_from([BODY, RUNNING])))
    | st.integers(0, len(BODY)).map(lambda cut: BODY[:cut])
    | st.builds(lambda key, odd: json.dumps({**UP, key: "?"}).replace('"?"', odd), st.sampled_from(list(UP)), ODD)
)
@example(body=json.dumps({**UP, "stage": "gone"}))
@tried(250)
def test_a_page_with_a_mistake_is_refused_or_keeps_the_output_format(body: str) -> None:
    """In all output formats, and in the health check."""
    with holding(page_of(body.encode("utf-8", "surrogatepass"))):
        status, line = printed(health.run, pid=os.getpid(), max_zombies=None, max_age=None)
        assert status in (0, 1) and line.count("\n") == 1 and line.removesuffix("\n").isprintable()
        assert line.startswith("unhealthy: " if status else "healthy: ")
        try:
            seen = published.read(os.getpid())
        except CannotLook as error:
            assert printable(str(error)) == str(error)
            return
    hold_shape(seen)


# Log lines.

FIELDS = st.one_of(
    TEXT, st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(TEXT, max_size=3)
)


@given(
    event=st.sampled_from(["exec", "started", "reaped", "usage", "ended"]),
    text=TEXT,
    fields=st.fixed_dictionaries({"program": TEXT, "error": TEXT, "pid": st.integers(1, 1 << 22), "name": FIELDS}),
    level=st.integers(0, 4),
)
@tried(200)
def test_an_event_is_one_line(event: str, text: str, fields: dict[str, str], level: int) -> None:
    """In text and in JSON. Braces in the text are not replaced by fields."""
    line = Log().line(level, event, text, {**fields}).decode()
    assert line.count("\n") == 1 and line.removesuffix("\n").isprintable()
    assert line == f"pyinit: {printable(text)}\n"
    record = json.loads(Log(json=True).line(level, event, text, {**fields}), parse_constant=pytest.fail)
    assert record["message"] == printable(text) and record["event"] == event


@given(value=FIELDS)
@tried(200)
def test_a_value_becomes_printable_json(value: str | int | float | list[str] | None) -> None:
    """Parsing it gives the same value, except for characters that are printed as escapes."""
    text = quoted(value)
    assert text.isprintable()
    shown = [printable(one) for one in value] if isinstance(value, list) else value
    assert json.loads(text, parse_constant=pytest.fail) == (printable(value) if isinstance(value, str) else shown)
