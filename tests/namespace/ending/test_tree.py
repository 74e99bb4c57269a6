"""Heads are asked, and the children of a process that cannot act on the signal are asked with it."""

import signal
from pathlib import Path

import pytest

from testing import packages

from .conftest import NEVER_NEEDED, SOON, Begin, program, shell_command

MASTER = """
    def be_prefork_master(name):
        be_master([start(f"{name}-{number}", work, 0.6) for number in (1, 2)])
"""
"""A master whose pool has SIGTERM's default action; it lets the pool finish its tasks."""


def pool(*masters: str) -> list[str]:
    """The names of the masters and of their pools."""
    return [name for master in masters for name in (master, f"{master}-1", f"{master}-2")]


def test_two_prefork_masters_of_a_script_let_their_pools_finish(begin: Begin, tmp_path: Path) -> None:
    """The script has neither `exec` nor a trap: it ends first, alone, and leaves two heads."""
    one_master = f"{MASTER}\n    become(sys.argv[1])\n    be_prefork_master(sys.argv[1])"
    (tmp_path / "start.sh").write_text('"$@" first &\n"$@" second\nwait\n')
    watched = begin(NEVER_NEEDED, "--", "sh", "start.sh", *program(one_master))
    watched.await_ready(*pool("first", "second"))
    watched.stop()
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGTERM
    for master in ("first", "second"):
        assert watched.events(master) == ["TERM", "done"], watched.story
        assert watched.events(f"{master}-1") == watched.events(f"{master}-2") == ["done"], watched.story
    assert outcome.seconds < 1 + SOON, watched.story


@pytest.mark.parametrize("options", [[NEVER_NEEDED], ["--wait-for=all"]], ids=["drained", "waited for"])
@pytest.mark.parametrize("is_crash", [True, False], ids=["crash", "stop"])
def test_a_detached_master_lets_its_pool_finish(begin: Begin, options: list[str], is_crash: bool) -> None:
    """Like Celery's `--detach`, beside the main process: it has its own session and no parent but pyinit."""
    watched = begin(*options, "--", *program(f"{MASTER}\n    detach('daemon', be_prefork_master, 'daemon'); main(3)"))
    watched.await_ready("main", *pool("daemon"))
    if is_crash:
        watched.leave()
        if "--wait-for=all" in options:  # nothing asks the daemon before that
            watched.await_exit("main")
            watched.signal(signal.SIGTERM)
    else:
        watched.stop()
    outcome = watched.finish()
    assert outcome.status == (3 if is_crash else 128 + signal.SIGTERM)
    assert watched.events("daemon") == ["TERM", "done"], watched.story
    assert watched.events("daemon-1") == watched.events("daemon-2") == ["done"], watched.story
    assert outcome.seconds < 1 + SOON, watched.story


def test_a_master_of_masters_passes_the_signal_down_by_itself(begin: Begin) -> None:
    """Three levels: pyinit asks the first, which asks the second, which waits for the third."""
    text = """
    def be_master_of_masters():
        hand_on([start(name, be_prefork_master, name) for name in ("left", "right")])
    start("top", be_master_of_masters)
    main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(f"{MASTER}{text}"))
    watched.await_ready("main", "top", *pool("left", "right"))
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    for master in ("top", "left", "right"):
        assert watched.events(master) == ["TERM", "done"], watched.story
    for master in ("left", "right"):
        assert watched.events(f"{master}-1") == watched.events(f"{master}-2") == ["done"], watched.story


@pytest.mark.parametrize(
    "obstacle",
    [
        "_signal.signal(_signal.SIGTERM, _signal.SIG_IGN)",
        "_signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])",
        "catch(_signal.SIGTERM); _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])",
    ],
    ids=["ignores", "blocks", "blocks, with a handler"],
)
def test_the_children_of_a_master_that_cannot_act_on_the_signal_are_asked_with_it(begin: Begin, obstacle: str) -> None:
    """Such a master cannot ask them. This tree has two such levels."""
    text = f"""
        def be_deaf(children):
            {obstacle}
            ready()
            wait_for(children)
            note("done")
        def be_upper():
            be_deaf([start("lower", be_lower), start("saver", save, 0.6)])
        def be_lower():
            be_deaf([start("listener", listen, 0.5)])
        start("upper", be_upper)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "upper", "lower", "saver", "listener")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    assert watched.events("saver") == ["TERM", "saved"], watched.story
    (gap,) = watched.asked("listener")
    assert gap < SOON / 2, watched.story
    assert watched.events("upper") == watched.events("lower") == ["done"], watched.story
    assert outcome.seconds < 1 + SOON, watched.story


def test_the_children_of_a_master_that_catches_the_signal_are_left_to_it_however_deep(begin: Begin) -> None:
    """The whole tree below a master is left to it, whatever a process in it does with the signal."""
    text = """
        def be_middle():
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
            ready()
            wait_for([start("bottom", work, 0.6)])
        def be_top():
            be_master([start("middle", be_middle)])
        start("top", be_top)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "top", "middle", "bottom")
    watched.leave()
    watched.finish()
    assert watched.events("bottom") == ["done"], watched.story
    assert watched.events("top") == ["TERM", "done"], watched.story


APPLICATION = shell_command("application", "save", 0.6)

WRAPPERS = {
    "unshare, the application is the init inside": f"unshare -pf {APPLICATION}",
    "unshare, a shell is the init inside": f"unshare -pf sh -c '{APPLICATION}; true'",
    "unshare, pyinit is the init inside": f"unshare -pf --mount-proc PYINIT -- {APPLICATION}",
    "interactive shell": f"setsid bash -i -c '{APPLICATION}'",
    "interactive shell, the command is not the last": f"setsid bash -i -c '{APPLICATION}; true'",
    "strace": f"STRACE -f -qq -o trace {APPLICATION}",
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_an_application_below_a_wrapper_saves_its_work(begin: Begin, launcher: str, wrapper: str) -> None:
    """Some wrappers do not act on SIGTERM, others exit at once."""
    words = WRAPPERS[wrapper].replace("PYINIT", launcher)
    if wrapper == "strace":
        words = words.replace("STRACE", packages.provide("strace", "strace"))
    # The shell exits, and the wrapper becomes a head. (setsid: an interactive shell would take the test's terminal.)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"{words} </dev/null & read line; exit 3")
    watched.await_ready("application")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    assert set(watched.events("application")) == {"TERM", "saved"}, watched.story
    assert outcome.seconds < 1 + SOON, watched.story
