"""--pause: no workload; the init of a shared PID namespace until it is asked to stop."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from testing.namespaces import Container, clean_environment
from testing.waiting import eventually

from .conftest import Run, Start

Join = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def pause(request: pytest.FixtureRequest, start: Start) -> Container:
    """A pause that has settled, and logs the signals that wake it. Its parameter is the drain timeout."""
    container = start("--pause", "-vvv", f"--drain-timeout={getattr(request, 'param', 60)}")
    container.await_rest()
    return container


@pytest.fixture
def join(pause: Container) -> Iterator[Join]:
    """Run a shell program in the PID namespace of the pause, as another container of the pod."""
    joined: list[subprocess.Popen[bytes]] = []

    def join(program: str) -> subprocess.Popen[bytes]:
        command = ["nsenter", f"--target={pause.init}", "--pid", "sh", "-c", program]
        joined.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return joined[-1]

    yield join
    for process in joined:
        with process:  # not `communicate`: orphans may still have its pipes
            process.kill()


def children(container: Container) -> list[psutil.Process]:
    """The children of PID 1, zombies among them."""
    return psutil.Process(container.init).children()


@pytest.mark.parametrize("word", ["-P", "--pause"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_asked_to(start: Start, word: str, number: int) -> None:
    """With 0 and no message."""
    container = start(word)
    container.await_rest()
    container.signal(number)
    ended = container.end()
    assert (ended.status, ended.out, ended.err) == (0, "", ""), ended


def test_the_variable_does_the_same(start: Start) -> None:
    """As with every option."""
    container = start(env=clean_environment(PYINIT_PAUSE="1"))
    container.await_rest()
    container.signal(signal.SIGTERM)
    assert container.end().status == 0


OTHERS = ["HUP", "QUIT", "USR1", "USR2", "PIPE", "ALRM", "CONT", "TSTP", "TTIN", "TTOU", "WINCH", "RTMIN", "RTMAX"]


def test_no_other_signal_means_anything_to_it(pause: Container) -> None:
    """Each is received, and nothing follows."""
    for name in [*OTHERS, "TERM"]:
        pause.signal(getattr(signal, f"SIG{name}"))
        assert pause.error_line() == f"pyinit: woken by SIG{name}\n"
    assert pause.end().status == 0


def test_orphans_of_all_containers_that_share_the_namespace_are_reaped(pause: Container, join: Join) -> None:
    """A container of the pod ends and leaves orphans. They may go on, and leave no zombies."""
    orphan = "(read -r line <&3; exit 9) &"
    joined = join(f"exec 3<&0; {orphan * 5} exit 6")
    assert joined.wait() == 6  # not ours: its parent is outside
    eventually(lambda: len(children(pause)) == 5, "the orphans are children of PID 1")
    assert all(child.status() != psutil.STATUS_ZOMBIE for child in children(pause))
    pause.await_rest()
    assert joined.stdin is not None
    joined.stdin.close()
    for _ in range(5):
        assert pause.error_line("reaped pid").endswith("which exited with 9\n")
    assert children(pause) == []


def test_nothing_wakes_it(pause: Container, join: Join) -> None:
    """Not while it has no children, and not while it has some."""
    for program in ("exit", "exec 3<&0; (read -r line <&3) & exit"):
        join(program).wait()
        before = pause.await_settled()
        time.sleep(1.5)
        assert pause.context_switches() == before


def test_processes_left_at_the_end_are_asked_and_have_time(pause: Container, join: Join) -> None:
    """They get SIGTERM, and have the drain timeout."""
    orphan = "trap 'sleep 0.1; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done"
    joined = join(f"({orphan}) & exit")
    assert joined.stdout is not None and joined.stdout.readline() == b"ready\n"
    joined.wait()
    eventually(lambda: len(children(pause)) == 1, "the orphan is a child of PID 1")
    pause.signal(signal.SIGTERM)
    ended = pause.end()
    assert (ended.status, joined.stdout.readline()) == (0, b"saved\n"), ended


@pytest.mark.parametrize("pause", [0.5], indirect=True)
def test_processes_that_do_not_end_are_killed(pause: Container, join: Join) -> None:
    """After the drain timeout, and the log names them. The status is still 0."""
    joined = join("(trap '' TERM; echo ready; exec sleep 60) & exit")
    assert joined.stdout is not None and joined.stdout.readline() == b"ready\n"
    joined.wait()
    eventually(lambda: [child.name() for child in children(pause)] == ["sleep"], "the orphan sleeps")
    begin = time.monotonic()
    pause.signal(signal.SIGTERM)
    ended = pause.end()
    assert 0.5 <= time.monotonic() - begin < 20
    assert (ended.status, "sending SIGKILL to 1 remaining process (sleep)" in ended.err) == (0, True), ended


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--pause", "true"], {}, "--pause takes no program, but 'true' is given"),
        (["-P", "--", "true"], {}, "--pause takes no program, but 'true' is given"),
        (["true"], {"PYINIT_PAUSE": "1"}, "--pause takes no program, but 'true' is given"),
        ([], {}, "no program given"),
        ([], {"PYINIT_PAUSE": "0"}, "no program given"),
        ([], {"PYINIT_PAUSE": ""}, "no program given"),
        ([], {"PYINIT_PAUSE": "x"}, "environment variable PYINIT_PAUSE: 'x' is neither 1 nor 0"),
        (["--pause=1"], {}, "option --pause takes no value"),
    ],
)
def test_a_program_or_a_pause(run: Run, words: list[str], variables: dict[str, str], message: str) -> None:
    """Both together are a usage error, and so is neither."""
    ended = run(*words, env=clean_environment(**variables))
    assert (ended.status, ended.out) == (125, "")
    assert ended.err.splitlines()[0] == f"pyinit: {message}; see pyinit --help"


def test_processes_of_other_containers_have_time_to_end(start: Start) -> None:
    """They are not children of PID 1, and the kernel would kill them with it."""
    container = start("--pause", "--drain-timeout=60")
    container.await_rest()
    program = "trap 'sleep 0.3; echo saved; exit' TERM; echo ready; while :; do sleep 0.05; done"
    command = ["nsenter", f"--target={container.init}", "--pid", "sh", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        container.signal(signal.SIGTERM)
        assert process.stdout.read() == "saved\n"
    assert container.end().status == 0


def test_a_second_stop_signal_is_rewritten(start: Start) -> None:
    """It is delivered to what is left, as at the end of a workload. The first one ends the pause, and is not."""
    container = start("--pause", "--rewrite=TERM:USR1", "--drain-timeout=60")
    container.await_rest()
    program = "trap 'echo hurried; exit' USR1; trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done"
    command = ["nsenter", f"--target={container.init}", "--pid", "sh", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        for heard in ("asked\n", "hurried\n"):
            container.signal(signal.SIGTERM)
            assert process.stdout.readline() == heard
    assert container.end().status == 0
