"""The workload as another user: its identity, its limits, and values that are not users.

The workloads are not in Python: the interpreter may be in a folder that is closed to other users.
"""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from testing.namespaces import Ended, clean_environment, python

from .conftest import Run, Start

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1010:1011::/home/app:/bin/sh
homeless:x:1012:1011:::/bin/sh
4040:x:2020:2021::/home/digits:/bin/sh
"""
GROUP = """\
root:x:0:
app:x:1011:
staff:x:1050:app
extra:x:1051:other,app
other:x:1052:other
4040:x:3030:
"""

WHO = ["sh", "-c", 'grep -E "^(Uid|Gid|Groups|Cap...):" /proc/self/status; echo "Home: $HOME $USER $LOGNAME"']
"""Prints the identity of the process by the kernel and by the environment."""

WITHOUT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]

TO_SET_IDS = ["--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid"]


@pytest.fixture
def database(tmp_path: Path) -> list[str]:
    """Words to put in front of the launcher: the namespace has these users and groups and no others."""
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    mount = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && shift && exec "$@"'
    return ["sh", "-c", mount, "sh", str(tmp_path)]


NO_DATABASE = ["sh", "-c", 'mount -t tmpfs none /etc && exec "$@"', "sh"]
"""The same for an image without users, such as one from scratch."""


def in_groups(folder: Path, count: int) -> None:
    """Have the user app be in so many groups."""
    more = "".join(f"more{number}:x:{10_000 + number}:app\n" for number in range(count - 3))
    (folder / "group").write_text(GROUP + more)


def who(ended: Ended) -> dict[str, list[str]]:
    """The words of each line of `WHO`'s output."""
    assert (ended.status, ended.err) == (0, ""), ended
    return {key: value.split() for key, _, value in (line.partition(":") for line in ended.out.splitlines())}


def identity(seen: dict[str, list[str]]) -> tuple[int, int, set[int]]:
    """The user id and the group id (the same as real, effective, saved and file system id), and the groups."""
    (uid,), (gid,) = set(seen["Uid"]), set(seen["Gid"])
    return int(uid), int(gid), {int(group) for group in seen["Groups"]}


def assert_refused(ended: Ended, message: str) -> None:
    """Check for status 125 and this line alone, and that nothing was started."""
    assert (ended.status, ended.out) == (125, ""), ended
    assert ended.err == f"pyinit: {message}\n"


MOST_GROUPS = os.sysconf("SC_NGROUPS_MAX")
"""65536, or 32 with musl, whatever the kernel allows."""


def test_a_user_may_be_in_as_many_groups_as_a_process(run: Run, database: list[str], tmp_path: Path) -> None:
    """All of them are handed over."""
    in_groups(tmp_path, 32)
    _, _, groups = identity(who(run("-u", "app", "--", *WHO, before=database)))
    assert groups == {1011, 1050, 1051, *range(10_000, 10_029)}


def test_a_user_in_more_groups_is_refused(run: Run, database: list[str], tmp_path: Path) -> None:
    """With what is wrong, and before anything is started."""
    line = f"option -u: cannot look up the groups of user 'app': there are more than {MOST_GROUPS}"
    in_groups(tmp_path, MOST_GROUPS + 1)
    ended = run("-u", "app", "--", *WHO, before=database)
    assert_refused(ended, f"{line}; see pyinit --help")


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        ("app", 1010, 1011, {1011, 1050, 1051}, "/home/app app app"),
        ("1010", 1010, 1011, {1011, 1050, 1051}, "/home/app app app"),
        ("app:staff", 1010, 1050, {1050, 1051}, "/home/app app app"),
        ("app:1052", 1010, 1052, {1050, 1051, 1052}, "/home/app app app"),
        ("1010:1011", 1010, 1011, {1011, 1050, 1051}, "/home/app app app"),
        ("homeless", 1012, 1011, {1011}, "/ homeless homeless"),
        ("4040", 2020, 2021, {2021}, "/home/digits 4040 4040"),  # a name before an id
        ("app:4040", 1010, 3030, {1050, 1051, 3030}, "/home/app app app"),
        ("2020:4041", 2020, 4041, {4041}, "/home/digits 4040 4040"),
        ("4242", 4242, 4242, {4242}, "/ 4242 4242"),  # no entry has the number
        ("4242:4343", 4242, 4343, {4343}, "/ 4242 4242"),
        ("4242:staff", 4242, 1050, {1050}, "/ 4242 4242"),
        ("4294967294", 4294967294, 4294967294, {4294967294}, "/ 4294967294 4294967294"),
        ("root", 0, 0, {0}, "/root root root"),
    ],
)
def test_the_workload_is_that_user(
    run: Run, database: list[str], user: str, uid: int, gid: int, groups: set[int], home: str
) -> None:
    """By name or number, with the groups, the home and the name in the database."""
    seen = who(run("-u", user, "--", *WHO, before=database, env=clean_environment(HOME="/root", USER="root")))
    assert identity(seen) == (uid, gid, groups)
    assert seen["Home"] == home.split()


def test_ids_need_no_database(run: Run) -> None:
    """There are no files with users and groups, so a name is an error."""
    seen = who(run("-u", "1010:1011", "--", *WHO, before=NO_DATABASE))
    assert (*identity(seen), seen["Home"]) == (1010, 1011, {1011}, ["/", "1010", "1010"])
    refused = run("-u", "app", "--", *WHO, before=NO_DATABASE)
    assert_refused(refused, "option -u: there is no user 'app'; see pyinit --help")


def test_nothing_else_in_the_environment_changes(run: Run, database: list[str]) -> None:
    """HOME, USER and LOGNAME are set, the rest is as it was."""
    given = {"B": "2", "HOME": "/root", "A": "1", "PATH": os.environ["PATH"]}
    before = [*database, "env", "-i", *[f"{key}={value}" for key, value in given.items()]]
    ended = run("-u", "app", "--", "env", before=before)
    expected = {**given, "HOME": "/home/app", "USER": "app", "LOGNAME": "app"}
    assert ended.out.splitlines() == [f"{key}={value}" for key, value in expected.items()], ended


def test_without_a_user_nothing_changes(run: Run, database: list[str]) -> None:
    """Neither ids nor variables; an empty variable counts as not set."""
    environment = clean_environment(HOME="/somewhere", PYINIT_USER="")
    seen = who(run("--", *WHO, before=["setpriv", "--groups=1052", *database], env=environment))
    assert (*identity(seen), seen["Home"]) == (0, 0, {1052}, ["/somewhere"])


def test_the_variable_does_the_same_and_a_flag_beats_it(run: Run, database: list[str]) -> None:
    """As with every option."""
    environment = clean_environment(PYINIT_USER="app:staff")
    assert identity(who(run("--", *WHO, before=database, env=environment))) == (1010, 1050, {1050, 1051})
    seen = who(run("--user=homeless", "--", *WHO, before=database, env=environment))
    assert identity(seen) == (1012, 1011, {1011})


BY_ROOT: list[str] = []
BY_ROOT_WITH_AMBIENT = ["setpriv", *TO_SET_IDS]
BY_ANOTHER_WITH_AMBIENT = ["setpriv", "--reuid=1012", "--regid=1011", "--clear-groups", *TO_SET_IDS]


@pytest.mark.parametrize(
    "become",
    [
        BY_ROOT,
        BY_ROOT_WITH_AMBIENT,
        BY_ANOTHER_WITH_AMBIENT,
    ],
)
def test_no_privileges_come_back(run: Run, database: list[str], become: list[str]) -> None:
    """No capability is left, and there is no way back to root; not even if an init that is not root has ambient
    capabilities (capabilities(7)), as with Podman."""
    before = [*database, *become]
    seen = who(run("-u", "app", "--", *WHO, before=before))
    assert identity(seen) == (1010, 1011, {1011, 1050, 1051})
    assert [seen[key] for key in ("CapPrm", "CapEff", "CapAmb")] == [["0" * 16]] * 3
    ended = run("-u", "app", "--", "setpriv", "--reuid=0", "echo", "root", before=before)
    assert ended.out == "" and "Operation not permitted" in ended.err, ended


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("nobody-here", "there is no user 'nobody-here'"),
        ("app:nobody-here", "there is no group 'nobody-here'"),
        ("", "there is no user ''"),
        (":", "there is no user ''"),
        (":staff", "there is no user ''"),
        ("app:", "there is no group ''"),
        ("app:staff:extra", "there is no group 'staff:extra'"),
        ("-1", "there is no user '-1'"),
        ("+1010", "there is no user '+1010'"),
        ("0x10", "there is no user '0x10'"),
        (" 1010", "there is no user ' 1010'"),
        ("\u0661", "there is no user '\u0661'"),  # a digit to Python
        ("4294967295", "there is no user '4294967295'"),  # "unchanged" to setresuid(2)
        ("app:4294967295", "there is no group '4294967295'"),
        ("9" * 5000, f"there is no user '{'9' * 5000}'"),
        ("a\nb", "there is no user 'a\\x0ab'"),
        (b"a\xff", "there is no user 'a\\xff'"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_invalid_user_is_a_usage_error(run: Run, database: list[str], user: str | bytes, message: str) -> None:
    """One line that names the option or the variable and the value, before anything is started."""
    ended = run("-u", user, "--", "echo", "started", before=database)
    assert_refused(ended, f"option -u: {message}; see pyinit --help")
    if user:
        environment = {**os.environb, b"PYINIT_USER": user if isinstance(user, bytes) else user.encode()}
        ended = run("--", "echo", "started", before=database, env=environment)
        assert_refused(ended, f"environment variable PYINIT_USER: {message}; see pyinit --help")


def test_an_init_that_is_that_user_already_needs_no_privileges(run: Run, database: list[str]) -> None:
    """If it was started as that user, with its groups, as with `docker run --user`."""
    before = [*database, "setpriv", "--reuid=1010", "--regid=1011", "--init-groups"]
    seen = who(run("-u", "app", "--", *WHO, before=before))
    assert (*identity(seen), seen["Home"]) == (1010, 1011, {1011, 1050, 1051}, ["/home/app", "app", "app"])


def test_the_id_minus_1_is_refused(run: Run, tmp_path: Path) -> None:
    """In the database as an unsigned number, it would leave the workload root (setresuid(2))."""
    (tmp_path / "passwd").write_text("bad:x:4294967295:1234::/:/bin/sh\n")
    before = ["sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(tmp_path / "passwd")]
    ended = run("-u", "bad", "--", "echo", "started", before=before)
    assert_refused(ended, "option -u: there is no user '-1'; see pyinit --help")


def test_a_program_that_only_that_user_can_see(run: Run, database: list[str], tmp_path: Path) -> None:
    """It runs, by path or by PATH. pyinit without CAP_DAC_OVERRIDE cannot look there, and takes no other instead."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    (private / "id").write_text("#!/bin/sh\necho mine\n")
    (private / "id").chmod(0o755)
    os.chown(private, 1010, 1011)
    before = [*database, "setpriv", "--bounding-set=-all,+setuid,+setgid"]
    environment = {"PATH": f"{private}:{os.environ['PATH']}"}
    for program in (str(private / "id"), "id"):
        ended = run("-u", "app", "--", program, before=before, env=environment)
        assert (ended.status, ended.out) == (0, "mine\n"), ended


@pytest.mark.parametrize(
    ("become", "user"),
    [
        (["--reuid=1012", "--regid=1011", "--clear-groups"], "app"),
        (["--reuid=1010", "--regid=1011", "--init-groups"], "root"),
        (["--reuid=1010", "--regid=1011", "--init-groups"], "app:staff"),
        (["--reuid=1010", "--regid=1011", "--clear-groups"], "app"),  # groups that we may not add
        (["--reuid=1010", "--regid=1011", "--groups=1052"], "app"),  # a group too many, and we may not drop it
        (["--bounding-set=-setuid", "--inh-caps=-setuid"], "app"),
        (["--bounding-set=-setgid", "--inh-caps=-setgid"], "app"),
    ],
)
def test_an_init_that_may_not_become_that_user_starts_nothing(
    run: Run, database: list[str], become: Sequence[str], user: str
) -> None:
    """Not even as the user without the group, or with groups that are not its own."""
    ended = run("-u", user, "--", "echo", "started", before=[*database, "setpriv", *become])
    assert_refused(ended, f"cannot run as user '{user}': Operation not permitted")


def test_the_program_must_be_executable_for_that_user(
    run: Run, database: list[str], bin_folder: Path, tmp_path: Path
) -> None:
    """If only root may execute it, the status is 126, or a program later in PATH is taken."""
    tmp_path.chmod(0o755)
    for name, mode in (("closed", 0o700), ("open", 0o755)):
        (tmp_path / name).mkdir()
        program = tmp_path / name / "program"
        program.write_text(f"#!/bin/sh\necho {name}\n")
        program.chmod(mode)
    assert run("--", tmp_path / "closed/program", before=database).out == "closed\n"
    ended = run("-u", "app", "--", tmp_path / "closed/program", before=database)
    assert (ended.status, ended.out) == (126, "")
    assert ended.err.startswith(f"pyinit: cannot execute '{tmp_path}/closed/program': "), ended
    environment = clean_environment(PATH=f"{tmp_path}/closed:{tmp_path}/open:{os.environ['PATH']}")
    assert run("-u", "app", "--", "program", before=database, env=environment).out == "open\n"


def test_standard_streams_can_be_opened_by_their_paths(start: Start, database: list[str]) -> None:
    """As nginx and php-fpm open their logs. The pipes belong to root, like an engine's."""
    program = "cat /dev/stdin >/dev/stdout; echo error >/dev/stderr"
    container = start("-u", "app", "--", "sh", "-c", program, before=database, stdin=subprocess.PIPE)
    container.say("input")
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (0, "input\n", "error\n"), ended


@contextmanager
def streams(folder: Path) -> Iterator[dict[str, int]]:
    """A descriptor of each kind."""
    (folder / "file").write_text("")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)  # a copy, in case it is damaged
    reader, writer = os.pipe()
    foreign, end = os.pipe()
    os.fchown(foreign, 1012, 1011)
    master, terminal = os.openpty()
    ptmx = os.fstat(master)
    found = {
        "a pipe": writer,
        "the reading end of a pipe": reader,
        "a FIFO": os.open(folder / "fifo", os.O_RDWR),
        "a file to write": os.open(folder / "file", os.O_WRONLY),
        "a file to read": os.open("file", os.O_RDONLY, dir_fd=os.open(folder, os.O_PATH)),
        "a terminal": terminal,
        "the other side of a terminal": master,
        "a device": os.open(folder / "null", os.O_RDWR),
        "another user's pipe": foreign,
    }
    try:
        yield found
    finally:
        os.fchown(master, ptmx.st_uid, ptmx.st_gid)
        for fd in {*found.values(), end}:
            os.close(fd)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        ("a pipe", 1010),
        ("the reading end of a pipe", 1010),
        ("a FIFO", 1010),
        ("a file to write", 1010),
        ("a file to read", 0),
        ("a terminal", 1010),
        ("the other side of a terminal", 0),
        ("a device", 0),
        ("another user's pipe", 1012),
    ],
)
def test_a_standard_stream_of_pyinits_user_is_given_to_the_user(
    run: Run, database: list[str], tmp_path: Path, number: int, kind: str, owner: int
) -> None:
    """Not a device that all share, nor a file of another user or one that can only be read. The group stays."""
    with streams(tmp_path) as found:
        group = os.fstat(found[kind]).st_gid
        replaced = {("stdin", "stdout", "stderr")[number]: found[kind]}
        assert run("-u", "app", "--", "true", before=database, **replaced).status == 0
        now = os.fstat(found[kind])
        assert (now.st_uid, now.st_gid) == (owner, group)


def test_without_the_right_to_give_streams_away_the_workload_still_runs(run: Run, database: list[str]) -> None:
    """Neither CAP_CHOWN nor the streams are needed."""
    before = [*database, "setpriv", "--bounding-set=-chown", "--inh-caps=-chown"]
    ended = run("-u", "app", "--", "sh", "-c", "echo out; echo again >/dev/stdout", before=before)
    assert ended.out == "out\n" and "Permission denied" in ended.err, ended
    closed = run("-u", "app", "--", "true", before=[*database, "sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    assert closed.status == 0


ROOTLESS = ["unshare", "--user", "--map-root-user"]
"""In a user namespace of one user and one group, in which groups cannot be changed."""


@pytest.mark.parametrize(
    ("groups", "user", "message"),
    [
        ("0", "app", "this user namespace has no user 1010, no group 1011 (app), no group 1050 (staff), "
         "no group 1051 (extra)"),
        ("0", "4242:0", "this user namespace has no user 4242"),
    ],
)  # fmt: skip
def test_a_user_that_a_rootless_namespace_cannot_have_is_explained(
    run: Run, database: list[str], groups: str, user: str, message: str
) -> None:
    """The line names the ids that the namespace lacks, or says that groups cannot be changed."""
    before = [*database, "setpriv", f"--groups={groups}", *ROOTLESS]
    assert run("-u", "root", "--", "true", before=[*database, "setpriv", "--groups=0", *ROOTLESS]).status == 0
    ended = run("-u", user, "--", "echo", "started", before=before)
    assert_refused(ended, f"cannot run as user '{user}': {message}")


MAP_ALL = """if True:
    import os, sys
    # A child of the outer namespace may map all ids of the inner one, and deny setgroups(2) (user_namespaces(7)).
    ready, mapped = os.pipe(), os.pipe()
    inner = os.getpid()
    if os.fork() == 0:
        os.read(ready[0], 1)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 0 5000"), ("gid_map", "0 0 5000")):
            with open(f"/proc/{inner}/{name}", "w") as file:
                file.write(text)
        os.write(mapped[1], b"+")
        os._exit(0)
    import ctypes
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(ready[1], b"+")
    os.read(mapped[0], 1)
    os.wait()
    os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_groups_that_cannot_be_left_are_named(run: Run, database: list[str]) -> None:
    """By the number that the namespace shows for all groups that it lacks. Some systems have a name for it."""
    ended = run("-u", "root", "--", "echo", "started", before=[*database, "setpriv", "--groups=0,1050", *ROOTLESS])
    assert (ended.status, ended.out) == (125, ""), ended
    message = "cannot run as user 'root': in this user namespace no process can leave group 65534"
    assert ended.err.removesuffix(" (nogroup)\n").rstrip() == f"pyinit: {message}", ended


def test_groups_that_cannot_be_joined_are_named(run: Run, database: list[str], tmp_path: Path) -> None:
    """All ids exist, but setgroups(2) is denied."""
    with (tmp_path / "group").open("a") as file:
        file.write("wheel:x:1060:root\nadm:x:1061:root\n")
    program = python(MAP_ALL)
    ended = run("-u", "root", "--", "echo", "started", before=[*database, "setpriv", "--groups=0", *program])
    message = "in this user namespace no process can join group 1060 (wheel), 1061 (adm)"
    assert_refused(ended, f"cannot run as user 'root': {message}")


SAVES = "trap 'echo {0} saved; exit 4' TERM; echo {0} ready; while :; do sleep 0.05; done"


def test_signals_reach_a_workload_of_another_user(start: Start, database: list[str]) -> None:
    """And stragglers get the stop signal."""
    program = f"({SAVES.format('child')}) & {SAVES.format('workload')}"
    container = start("-u", "app", "--drain-timeout=60", "--", "sh", "-c", program, before=database)
    assert {container.line(), container.line()} == {"child ready", "workload ready"}
    assert [child.uids().real for child in psutil.Process(container.init).children()] == [1010]
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (4, "workload saved\nchild saved\n"), ended


def test_without_the_right_to_signal_the_workload_there_is_a_line_in_the_log(start: Start, database: list[str]) -> None:
    """Once, however many signals arrive. The workload gets none, and the container runs on."""
    before = [*database, *WITHOUT_KILL]
    program = "trap 'echo heard' TERM USR1; echo ready; read -r line; exit 7"
    container = start("-u", "app", "--", "sh", "-c", program, before=before, stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGTERM)
    assert container.error_line() == "pyinit: cannot forward SIGTERM: Operation not permitted\n"
    for number in (signal.SIGUSR1, signal.SIGTERM):
        container.signal(number)
        container.await_rest()
    container.say()
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (7, "", ""), ended


def test_an_interpreter_without_pwd_is_named(bare: Start, launcher: str, tmp_path: Path) -> None:
    """The module that looks up users. pyinit cannot go on."""
    text = Path(launcher).read_text().replace("import sys\n", "import sys\nsys.modules['pwd'] = None\n", 1)
    (tmp_path / "pyinit").write_text(text)
    (tmp_path / "pyinit").chmod(0o755)
    ended = bare(tmp_path / "pyinit", "--user=0", "true").end()
    assert (ended.status, ended.err) == (125, "pyinit: cannot go on: import of pwd halted; None in sys.modules\n")
