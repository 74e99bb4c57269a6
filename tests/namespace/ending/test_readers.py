"""Readers: a process whose standard input is a pipe is spared while there is something to read or a living writer."""

import gzip
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import NEVER_NEEDED, SOON, Begin, Watched, lines, program, shell_command

SECONDS = 1.2
"""Seconds that an application saves, of a drain timeout of 2 s. (A loaded machine has 0.8 s to spare.)"""

APPLICATION = shell_command("application", "write_lines", SECONDS)


def start_script(tmp_path: Path, script: str) -> list[str]:
    """The words that run this script of bash."""
    (tmp_path / "start.sh").write_text(script)
    return ["bash", "start.sh"]


def test_an_entrypoint_that_exits_with_an_error_gets_its_last_line_through_its_filter(
    begin: Begin, tmp_path: Path
) -> None:
    """The filter of `exec > >(...)` lags behind. The last line, still unread, gives the reason for the exit."""
    script = """
        exec > >(touch up; while sleep 0.03; IFS= read -r line; do echo "stamped: $line"; done) 2>&1
        until [ -e up ]; do sleep 0.01; done  # before that the pipe may not be its standard input
        for number in 1 2 3 4 5 6 7 8 9; do echo "step $number"; done
        echo "FATAL: no database"
        exit 3
    """
    watched = begin(NEVER_NEEDED, "--", *start_script(tmp_path, script))
    outcome = watched.finish()
    steps = [f"stamped: step {number}\n" for number in range(1, 10)]
    assert (outcome.status, outcome.out) == (3, "".join([*steps, "stamped: FATAL: no database\n"])), watched.story


def whole_output(_: Path, out: str) -> str:
    return out


def whole_log(folder: Path, out: str) -> str:
    log = (folder / "log").read_text()
    assert out == log
    return log


def whole_archive(folder: Path, out: str) -> str:
    assert out == ""
    return gzip.decompress((folder / "log.gz").read_bytes()).decode()


PIPELINES: dict[str, tuple[str, Callable[[Path, str], str], list[str]]] = {
    "tee": (f"{APPLICATION} | tee log", whole_log, ["tee"]),
    "gzip": (f"{APPLICATION} | gzip > log.gz", whole_archive, ["gzip"]),
    "two filters": (f"{APPLICATION} | sed 's/^line/LINE/' | tr LINE line", whole_output, ["sed", "tr"]),
    "process substitution": (f"exec > >(sed 's/$//'); {APPLICATION} & wait", whole_output, ["sed"]),
}


@pytest.mark.parametrize("kind", PIPELINES)
def test_every_byte_that_an_application_writes_while_it_saves_comes_out(
    begin: Begin, tmp_path: Path, kind: str
) -> None:
    """The shell exits, the application saves, and the filters exit at the end of their input."""
    script, whole, filters = PIPELINES[kind]
    watched = begin("--drain-timeout=2", "--", *start_script(tmp_path, script))
    watched.await_ready("application")
    watched.await_programs(*filters)
    watched.stop()
    outcome = watched.finish()
    assert outcome.status == 128 + signal.SIGTERM, watched.story
    assert watched.events("application") == ["TERM", "saved"]
    assert whole(tmp_path, outcome.out) == lines(40), watched.story


PIPE_OF_ITS_OWN = """
    import os, subprocess
    def application():
        catch(_signal.SIGTERM)
        filter = subprocess.Popen(["sed", "s/^line/LINE/"], stdin=subprocess.PIPE)
        ready()
        await_signal()
        begin = time.monotonic()
        for number in range(40):
            filter.stdin.write(line(number))
            filter.stdin.flush()
            time.sleep(max(0, begin + (number + 1) * float(sys.argv[1]) / 40 - time.monotonic()))
        note("saved")
        os._exit(0)
    start("application", application)
    main(3)
"""


def test_every_byte_that_an_application_writes_to_a_pipe_of_its_own_comes_out(begin: Begin) -> None:
    """It exits without waiting for its filter, which has not written a byte by then."""
    watched = begin("--drain-timeout=2", "--", *program(PIPE_OF_ITS_OWN, str(SECONDS)))
    watched.await_ready("application", "main")
    watched.leave()
    outcome = watched.finish()
    assert watched.events("application") == ["TERM", "saved"]
    assert (outcome.status, outcome.out) == (3, lines(40).replace("line", "LINE")), watched.story


def test_a_slow_filter_reads_the_lines_that_are_still_in_its_pipe(begin: Begin) -> None:
    """Twenty lines at a tenth of a second take longer than the second that a reader has after its input has ended."""
    application = shell_command("application", "write_lines", 0, 20)
    script = f"{application} | {{ touch up; while sleep 0.1; IFS= read -r line; do echo $line; done; }}"
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", script)
    watched.await_ready("application")
    watched.await_file("up")
    watched.stop()
    outcome = watched.finish()
    assert outcome.out == lines(20), watched.story


def test_a_reader_that_has_read_everything_has_time_to_write_it(begin: Begin) -> None:
    """It has a second because nothing in /proc shows whether it is idle."""
    application = shell_command("application", "write_lines", 0.2)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"{application} | {shell_command('reader', 'gulp', 0.1)}")
    watched.await_ready("application", "reader")
    watched.stop()
    outcome = watched.finish()
    assert watched.events("reader") == ["end-of-input", "done"]
    assert outcome.out == lines(40), watched.story


@pytest.mark.parametrize(
    ("role", "earliest"), [("gulp_and_listen", 0.9), ("gulp_and_save", 0)], ids=["cannot act on it", "catches it"]
)
def test_a_reader_is_asked_when_its_input_has_ended(begin: Begin, role: str, earliest: float) -> None:
    """A second later, if it cannot act on the signal: it may need the time to write what it holds."""
    application = shell_command("application", "write_lines", 0.5, 5)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"{application} | {shell_command('reader', role)}")
    watched.await_ready("application", "reader")
    watched.stop()
    outcome = watched.finish()
    gap = watched.time_of("reader", "TERM") - watched.time_of("application", "saved")
    assert earliest <= gap < 1 + SOON, watched.story
    assert len(watched.notes_of("reader", "TERM")) == 1, watched.story
    assert outcome.out == lines(5), watched.story


def test_a_reader_that_catches_the_signal_has_no_second_after_its_input_has_ended(begin: Begin) -> None:
    """It can save what it holds. Another reader of the same pipe, which cannot act on the signal, is asked later."""
    text = """
        def read(role):
            posix.close(writer)
            posix.dup2(reader, 0)
            role()
        def be_application():
            posix.dup2(writer, 1)
            posix.close(writer)
            write_lines(0.5, 5)
        reader, writer = posix.pipe()
        start("application", be_application)
        start("deaf", read, gulp_and_listen)
        start("saver", read, gulp_and_save)
        main(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("main", "application", "deaf", "saver")
    watched.leave()
    watched.finish()
    assert watched.time_of("deaf", "TERM") - watched.time_of("saver", "TERM") > 0.5, watched.story


def test_a_process_with_a_pipe_for_input_whose_writer_has_exited_is_asked_a_second_later(begin: Begin) -> None:
    """`true | application`, which never reads."""
    application = shell_command("application", "listen", 0.3)
    watched = begin(NEVER_NEEDED, "--", *program(f"execute('/bin/sh', '-c', 'true | {application}'); main()"))
    watched.await_ready("application", "main")
    watched.leave()
    watched.finish()
    (gap,) = watched.asked("application")
    assert 0.9 <= gap < 1 + SOON, watched.story
    assert watched.events("application") == ["TERM", "saved"]


def test_a_process_that_reads_and_writes_its_fifo_is_not_a_reader(begin: Begin, tmp_path: Path) -> None:
    """It is its own writer (`0<>fifo`), and would wait for itself."""
    os.mkfifo(tmp_path / "fifo")
    application = shell_command("application", "listen", 0.1)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"{application} 0<>fifo & read line; exit 3")
    watched.await_ready("application")
    watched.leave()
    outcome = watched.finish()
    (gap,) = watched.asked("application")
    assert gap < SOON / 2, watched.story
    assert outcome.status == 3 and outcome.seconds < SOON, watched.story


def test_the_reader_of_a_fifo_is_spared(begin: Begin, tmp_path: Path) -> None:
    """As one of a pipe is."""
    os.mkfifo(tmp_path / "fifo")
    application = shell_command("application", "write_lines", 0.5)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"sed 's/$//' < fifo & {application} > fifo & read line; exit 3")
    watched.await_ready("application")
    watched.await_programs("sed")
    watched.leave()
    outcome = watched.finish()
    assert (outcome.status, outcome.out) == (3, lines(40)), watched.story


@pytest.mark.parametrize("name", ["x\ry 3", "x\n1 1 sh"])
def test_readers_are_spared_whatever_a_program_beside_them_is_called(begin: Begin, tmp_path: Path, name: str) -> None:
    """A child of pyinit looks at a process whose standard input is a file, and answers with the name of its program."""
    shutil.copy("/bin/sh", tmp_path / name)
    odd = f"'./{name}' -c 'touch up; sleep 1000; :' < '{name}'"
    application = shell_command("application", "write_lines", 0.5)
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", f"{odd} & {application} | sed 's/$//' & read line; exit 3")
    watched.await_ready("application")
    watched.await_programs("sed")
    watched.await_file("up")
    watched.leave()
    outcome = watched.finish()
    assert (outcome.status, outcome.out, outcome.err) == (3, lines(40), ""), watched.story
    assert outcome.seconds < 1 + SOON, watched.story


def test_a_filter_that_is_fed_by_tail_reads_what_tail_has_written(begin: Begin, tmp_path: Path) -> None:
    """`tail -f` is asked and ends. The filter lags behind, and reads the rest."""
    (tmp_path / "log").write_text(lines(20))
    script = "tail -n +1 -f log | while sleep 0.05; IFS= read -r line; do echo $line; done & read line; exit 3"
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", script, bufsize=0)  # or the first line is read with the next ones
    first = watched.line()
    watched.leave()
    outcome = watched.finish()
    assert (outcome.status, f"{first}\n{outcome.out}") == (3, lines(20)), watched.story
    assert outcome.seconds < 1 + SOON, watched.story


def test_the_jobs_of_xargs_are_spared_while_it_has_work(begin: Begin, tmp_path: Path) -> None:
    """xargs is a reader, and its descendants are spared with it. SIGTERM would end them."""
    producer = """
        catch(_signal.SIGTERM)
        write(b"1 2\\n")
        ready()
        await_signal()
        for item in range(3, 9):
            write(b"%d\\n" % item)
            time.sleep(0.1)
        for item in range(1, 9):
            await_file(f"done.{item}")
    """
    script = """"$@" | xargs -P 2 -n 1 sh -c 'touch begun.$0; sleep 0.3; touch done.$0' & read line; exit 3"""
    watched = begin(NEVER_NEEDED, "--", "sh", "-c", script, "sh", *program(producer))
    watched.await_ready("main")
    watched.await_programs("xargs")
    watched.leave()
    outcome = watched.finish()
    assert outcome.status == 3
    made = {path.name for path in tmp_path.glob("*.[1-8]")}
    assert made == {f"{stage}.{item}" for stage in ("begun", "done") for item in range(1, 9)}, watched.story
    assert outcome.seconds < 3 + SOON, watched.story


def begin_with_writer_outside(begin: Begin, option: str, role: str) -> tuple[Watched, int]:
    """A container with a reader, and the end of the reader's pipe that the test can write to."""
    reader, writer = os.pipe()
    words = ["bash", "-c", f"{shell_command('reader', role)} <&{reader} {reader}<&- & {reader}<&- read line; exit 3"]
    try:
        watched = begin(option, "--", *words, pass_fds=(reader,))
    finally:
        os.close(reader)
    watched.await_ready("reader")
    return watched, writer


def test_a_reader_whose_writer_is_outside_of_the_container_reads_on(begin: Begin) -> None:
    """No process inside can write to the pipe, but the input has not ended."""
    watched, writer = begin_with_writer_outside(begin, NEVER_NEEDED, "gulp")
    with open(writer, "w") as pipe:
        pipe.write("before\n")
        pipe.flush()
        watched.leave()
        with pytest.raises(subprocess.TimeoutExpired):
            watched.process.wait(1)
        pipe.write("after\n")
    outcome = watched.finish()
    assert (outcome.status, outcome.out) == (3, "before\nafter\n"), watched.story


def test_a_reader_whose_writer_is_outside_of_the_container_is_killed_after_the_drain_timeout(begin: Begin) -> None:
    """It is not asked before, not even in the last second."""
    watched, writer = begin_with_writer_outside(begin, "--drain-timeout=2", "gulp_and_listen")
    watched.leave()
    outcome = watched.finish()
    os.close(writer)
    assert outcome.status == 3
    assert 2 <= outcome.seconds < 2.5 + SOON, watched.story
    assert watched.events("reader") == [], watched.story


def test_readers_are_killed_half_a_second_after_everything_else(begin: Begin) -> None:
    """One of them then reads the end of its input, and writes what it holds. Those that do not read are killed."""
    script = f"""
        {{ echo held; {shell_command("stubborn", "ignore")}; }} | {shell_command("filter", "gulp")} &
        {shell_command("mute", "ignore")} | {shell_command("deaf", "listen")} &
        echo unread | {shell_command("idle", "listen")} &
        read line
        exit 3
    """
    watched = begin("-v", "--drain-timeout=2", "--", "sh", "-c", script)
    watched.await_ready("stubborn", "filter", "mute", "deaf", "idle")
    watched.leave()
    outcome = watched.finish()
    assert (outcome.status, outcome.out) == (3, "held\n"), watched.story
    assert 2 <= watched.time_of("filter", "end-of-input") < 2 + SOON, watched.story
    assert watched.events("filter") == ["end-of-input", "done"], watched.story
    assert watched.events("deaf") == watched.events("idle") == [], watched.story
    assert "none can be seen" not in outcome.err, watched.story
    assert 2.5 <= outcome.seconds < 3 + SOON, watched.story


def test_a_reader_that_catches_sigterm_has_this_half_second_too(begin: Begin) -> None:
    """It is not killed with the rest as soon as its input ends."""
    script = f"""
        {{ echo held; {shell_command("stubborn", "ignore")}; }} |
            sh -c 'trap : TERM; cat; sleep 0.1; echo saved' &
        read line
        exit 3
    """
    watched = begin("--drain-timeout=2", "--", "sh", "-c", script)
    watched.await_ready("stubborn")
    watched.await_programs("cat")
    watched.leave()
    outcome = watched.finish()
    assert (outcome.status, outcome.out) == (3, "held\nsaved\n"), watched.story


def test_a_process_on_the_pipe_that_pid_1_was_given_is_not_a_reader(begin: Begin) -> None:
    """With `docker run -i` each process has that pipe as its input, and the engine does not close it."""
    text = """
        start("default", sleep)
        start("listener", listen, 0.1)
        start("saver", save, 0.1)
        main_of_signals(3)
    """
    watched = begin(NEVER_NEEDED, "--", *program(text))
    watched.await_ready("default", "listener", "saver", "main")
    watched.stop(signal.SIGUSR1)
    outcome = watched.finish()
    assert outcome.status == 3
    (gap,) = watched.asked("listener")
    assert gap < SOON / 2, watched.story
    assert watched.events("saver") == ["TERM", "saved"]
    assert outcome.seconds < SOON, watched.story


def test_a_shell_that_reads_its_script_from_a_pipe_is_asked_beside_a_stubborn_head(begin: Begin) -> None:
    """Its writer has exited. It is asked without a wait for the other processes."""
    script = "trap 'sleep 0.1; echo saved > saved; exit' TERM; echo ready; while :; do sleep 0.05; done"
    text = f"""
        start("stubborn", ignore)
        execute("/bin/sh", "-c", '''echo "{script}" | bash''')
        main(3)
    """
    watched = begin("--drain-timeout=2.5", "--", *program(text))
    watched.await_ready("stubborn", "main")
    watched.expect("ready")
    watched.leave()
    outcome = watched.finish()
    assert (watched.folder / "saved").read_text() == "saved\n", watched.story
    assert outcome.status == 3
    assert 2.5 <= outcome.seconds < 2.5 + 1 + SOON, watched.story
