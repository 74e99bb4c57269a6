"""Shells with a trap: it runs only after the foreground child has ended; other children are left to the shell."""

from pathlib import Path

import pytest

from testing import packages

from .conftest import NEVER_NEEDED, PID_1, SOON, SUBREAPER, Begin, command, program, shell_command

KINDS = ["dash", "bash", "busybox"]

WAYS = ["command", "script"]
"""How a shell is started: with ``-c``, or by the first line of a script, which gives the process its name."""

on_all_shells = pytest.mark.parametrize(
    ("kind", "way", "place"),
    [
        *[(kind, way, PID_1) for kind in KINDS for way in WAYS],
        ("bash", "script", SUBREAPER),
    ],
)


def shell(folder: Path, kind: str, way: str, script: str) -> list[str]:
    """The words that run a script in a shell."""
    path = packages.provide(kind, kind)
    words = [path, "sh"] if kind == "busybox" else [path]
    if way == "command":
        return [*words, "-c", script]
    file = folder / "entrypoint"
    file.write_text(f"#!{' '.join(words)}\n{script}")
    file.chmod(0o755)
    return [str(file)]


BESIDE = program("execute(*sys.argv[1:]); main(3)")
"""A main process that starts the shell. When it exits, the shell is a head."""


@on_all_shells
def test_the_foreground_child_of_a_shell_is_asked_a_moment_after_the_shell(
    begin: Begin, tmp_path: Path, kind: str, way: str
) -> None:
    """The trap has most of the drain timeout."""
    script = f"""trap 'sleep 0.6; echo saved >> saved; exit' TERM
        {shell_command("child", "listen", 0)}
        echo "not reached" >> saved"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, way, script))
    watched.await_ready("main", "child")
    watched.leave()
    outcome = watched.finish()
    (gap,) = watched.asked("child")
    assert 0.15 <= gap < SOON, watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert outcome.status == 3 and 0.6 <= outcome.seconds < 1 + SOON, watched.story


@on_all_shells
def test_the_background_children_of_a_shell_are_left_to_it(begin: Begin, tmp_path: Path, kind: str, way: str) -> None:
    """`application & wait`: the trap runs at once, and decides when they end."""
    script = f"""trap 'wait; echo saved >> saved; exit' TERM
        {shell_command("first", "work", 0.6)} & {shell_command("second", "work", 0.5)} &
        wait"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, way, script))
    watched.await_ready("main", "first", "second")
    watched.leave()
    outcome = watched.finish()
    assert watched.events("first") == watched.events("second") == ["done"], watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert outcome.status == 3 and outcome.seconds < 1 + SOON, watched.story


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
def test_a_background_child_with_a_handler_for_sigint_is_left_to_its_shell(
    begin: Begin, tmp_path: Path, kind: str
) -> None:
    """A shell starts its background children with SIGINT ignored, but many applications catch it anyway."""
    script = f"""trap 'wait; exit' TERM
        {shell_command("child", "work_with_interrupts", 0.6)} &
        wait"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", script))
    watched.await_ready("main", "child")
    watched.leave()
    watched.finish()
    assert watched.events("child") == ["done"], watched.story


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
@pytest.mark.parametrize(
    "child",
    [
        shell_command("child", "call", *command("command", "work", 0.6)),
        f"({shell_command('command', 'work', 0.6)}; true)",
        shell_command("child", "hold", *command("command", "work_with_interrupts", 0.6)),
    ],
    ids=["in system", "a subshell", "with signals blocked"],
)
def test_a_background_child_that_waits_for_a_command_is_left_to_its_shell(
    begin: Begin, tmp_path: Path, kind: str, child: str
) -> None:
    """It looks nearly like a foreground child in system(3). (bash has its subshells start commands that do not ignore
    SIGINT; runuser blocks most signals.)"""
    watched = begin(
        NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", f"trap 'wait; exit' TERM\n{child} & wait")
    )
    watched.await_ready("main", "command")
    watched.leave()
    watched.finish()
    assert watched.events("command") == ["done"], watched.story


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
def test_a_background_child_of_a_background_shell_is_asked_by_the_shell_alone(
    begin: Begin, tmp_path: Path, kind: str
) -> None:
    """Such a shell ignores SIGINT and SIGQUIT, and so does each of its children."""
    script = f"""trap 'kill -TERM $child; wait $child; exit' TERM
        {shell_command("child", "listen", 0.6)} & child=$!
        touch up
        wait $child"""
    in_background = ["/bin/sh", "-c", '"$@" &', "sh", *shell(tmp_path, kind, "command", script)]
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *in_background)
    watched.await_ready("main", "child")
    watched.await_file("up")
    watched.leave()
    watched.finish()
    assert watched.events("child") == ["TERM", "saved"] and not watched.asked("child"), watched.story


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
def test_the_foreground_child_of_a_shell_that_ignores_sigint_is_asked(begin: Begin, tmp_path: Path, kind: str) -> None:
    """The child ignores it as well. A background child would also ignore SIGQUIT."""
    script = f"""trap '' INT; trap 'echo saved >> saved; exit' TERM
        {shell_command("child", "sleep")}; true"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", script))
    watched.await_ready("main", "child")
    watched.leave()
    assert watched.finish().seconds < SOON, watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
def test_a_foreground_child_that_is_bash_is_asked(begin: Begin, tmp_path: Path, kind: str) -> None:
    """bash ignores SIGQUIT wherever it runs."""
    script = f"""trap 'echo saved >> saved; exit' TERM
        {packages.provide("bash", "bash")} -c '{shell_command("child", "sleep")}; true'; true"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", script))
    watched.await_ready("main", "child")
    watched.leave()
    assert watched.finish().seconds < SOON, watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


@pytest.mark.parametrize(("kind", "place"), [(kind, PID_1) for kind in KINDS])
def test_a_foreground_child_in_system_is_asked(begin: Begin, tmp_path: Path, kind: str) -> None:
    """In system(3) a process ignores SIGINT and SIGQUIT, as one in the background does."""
    script = f"""trap 'echo saved >> saved; exit' TERM
        {shell_command("child", "call", *command("command", "sleep"))}; true"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", script))
    watched.await_ready("main", "command")
    watched.leave()
    assert watched.finish().seconds < SOON, watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


@on_all_shells
def test_what_a_trap_starts_is_left_alone(begin: Begin, tmp_path: Path, kind: str, way: str) -> None:
    """Helpers that save are started after the shell was asked. The foreground child was there before, and ends soon."""
    script = f"""trap '{shell_command("helper", "work", 0.7)}; echo saved >> saved; exit' TERM
        echo ready > ready
        while :; do sleep 0.05; done"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, way, script))
    watched.await_ready("main")
    watched.await_file("ready")
    watched.leave()
    outcome = watched.finish()
    assert watched.events("helper") == ["done"], watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert outcome.status == 3 and outcome.seconds < 1.1 + SOON, watched.story


@pytest.mark.parametrize("kind", ["dash", "bash"])
def test_what_a_trap_starts_after_the_foreground_child_was_asked_is_left_alone(
    begin: Begin, tmp_path: Path, kind: str
) -> None:
    """The shell had no such child when it was asked."""
    script = f"""trap '{shell_command("helper", "work", 0.7)}; echo saved >> saved; exit' TERM
        {shell_command("child", "sleep")}"""
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *shell(tmp_path, kind, "command", script))
    watched.await_ready("main", "child")
    watched.leave()
    watched.finish()
    assert watched.events("helper") == ["done"], watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


@pytest.mark.parametrize("kind", ["dash", "bash"])
def test_a_program_that_is_not_a_shell_keeps_its_children_however_long_it_takes(
    begin: Begin, tmp_path: Path, kind: str
) -> None:
    """Only the foreground child of a shell is asked a moment later. A master below the shell remains a master."""
    text = "be_master([start('worker', work, 0.7)])"
    script = """trap 'echo saved >> saved; exit' TERM
        "$@"
        echo "not reached" """
    words = [*shell(tmp_path, kind, "command", script), "sh", *program(f"become('master')\n{text}")]
    watched = begin(NEVER_NEEDED, "--", *BESIDE, *words)
    watched.await_ready("main", "master", "worker")
    watched.leave()
    watched.finish()
    assert watched.events("master") == ["TERM", "done"], watched.story
    assert watched.events("worker") == ["done"], watched.story
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_the_children_of_a_shell_without_a_trap_are_asked_with_it(begin: Begin) -> None:
    """Foreground and background: the shell cannot ask them."""
    children = f"{shell_command('background', 'save', 0.5)} & {shell_command('foreground', 'save', 0.5)}; true"
    watched = begin(NEVER_NEEDED, "--", *BESIDE, "/bin/sh", "-c", children)
    watched.await_ready("main", "background", "foreground")
    watched.leave()
    watched.finish()
    for name in ("background", "foreground"):
        assert watched.events(name) == ["TERM", "saved"], watched.story
        assert watched.time_of(name, "TERM") < SOON / 2, watched.story
