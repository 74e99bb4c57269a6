"""The exit report: one line that says why the container ended."""

import json
import os
import re
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from testing.namespaces import IN_TIME, INTERPRETER, Ended, clean_environment, python
from testing.waiting import eventually

from .conftest import Run, Start

SLEEPER = ["sh", "-c", "echo ready; exec sleep 60"]


def report_of(ended: Ended) -> str:
    """The only line on stderr, without figures that differ from run to run."""
    assert len(ended.err.splitlines()) == 1, ended
    line = re.sub(r"\(pid \d+\)", "(pid N)", ended.err.rstrip("\n"))
    return re.sub(r"\b\d+(\.\d+)?(ms|s)\b", "TIME", re.sub(r"\d+ MiB peak", "SIZE peak", line))


@pytest.mark.parametrize("script", ["exit 0", "exit 3", "exit 143", "kill -TERM 1; exec sleep 60"])
def test_an_ordinary_end_is_not_reported(run: Run, script: str) -> None:
    """Whatever the status, if the workload exited by itself, or ended because it was asked to."""
    assert run("--", "sh", "-c", script).err == ""


def test_a_death_by_a_signal_that_was_not_forwarded_is_reported(run: Run) -> None:
    """A process inside has killed the workload, or it died of a fault."""
    assert report_of(run("--", "sh", "-c", "kill -KILL $$")) == (
        "pyinit: sh (pid N) was killed by SIGKILL after TIME; TIME CPU, SIZE peak memory"
    )
    ended = run("--", "sh", "-c", "kill -SEGV $$")
    assert ended.status == 139
    assert "sh (pid N) was killed by SIGSEGV after TIME" in report_of(ended)


def test_a_core_dump_is_reported(run: Run, tmp_path: Path) -> None:
    """If the kernel writes one: it tells the parent (core(5))."""
    crash = ["prlimit", "--core=unlimited", "sh", "-c", "kill -SEGV $$"]
    pid = os.posix_spawnp("sh", ["sh", "-c", 'cd "$0" && exec "$@"', str(tmp_path), *crash], os.environ)
    writes_core = os.WCOREDUMP(os.waitpid(pid, 0)[1])
    ended = run("--", *crash, cwd=tmp_path)
    assert ended.status == 139
    assert ("SIGSEGV (core dumped)" in ended.err) == writes_core, ended


def test_a_death_by_a_forwarded_signal_is_not_reported(start: Start) -> None:
    """Also if it is not a stop signal, or was rewritten."""
    for number, option in ((signal.SIGUSR1, "-v"), (signal.SIGTERM, "-rTERM:USR2")):
        container = start("-q", option.replace("-v", "-q"), "--", *SLEEPER)
        container.expect("ready")
        container.signal(number)
        ended = container.end()
        assert ended.status in (138, 140)
        assert ended.err == ""


def test_always_reports_every_end(start: Start, run: Run) -> None:
    """With the signal that asked for it and its sender, the resources used, and the number of orphans."""
    container = start("--exit-report=always", "--", "sh", "-c", "(sleep 0 &); echo ready; exec sleep 60")
    container.expect("ready")
    eventually(lambda: len(psutil.Process(container.init).children()) == 1, "the orphan is reaped")
    container.signal(signal.SIGTERM)
    assert report_of(container.end()) == (
        "pyinit: sh (pid N) was killed by SIGTERM after TIME, TIME after SIGTERM from outside the container; "
        "TIME CPU, SIZE peak memory; 1 orphan reaped"
    )
    ended = run("--exit-report=always", "--", "sh", "-c", "exit 3")
    assert report_of(ended) == "pyinit: sh (pid N) exited with 3 after TIME; TIME CPU, SIZE peak memory"


def test_the_sender_inside_is_named(run: Run) -> None:
    """By pid and name, as long as it runs."""
    script = f"{INTERPRETER} -ISc 'import os, time; os.kill(1, 15); time.sleep(60)' & wait"
    options = ["--exit-report=always", "--drain-timeout=60"]
    line = report_of(run(*options, "--", "sh", "-c", f"trap 'exit 0' TERM; {script}"))
    assert re.search(r"exited with 0 after TIME, TIME after SIGTERM from pid \d+ \(python3[.\d]*\); ", line), line
    assert line.endswith(f"1 straggler ended ({Path(INTERPRETER).name} within TIME of SIGTERM); 1 orphan reaped"), line


def test_never_reports_no_end(run: Run) -> None:
    """Not even at -v."""
    assert run("--exit-report=never", "--", "sh", "-c", "kill -KILL $$").err == ""
    lines = run("-v", "--exit-report=never", "--", "true").err.splitlines()
    assert len(lines) == 1 and "started true as pid" in lines[0], lines


def test_verbosity_does_not_silence_a_report_that_was_asked_for(run: Run) -> None:
    """-q is only about the log."""
    assert "exited with 0" in run("-q", "--exit-report=always", "--", "true").err
    assert "SIGKILL" in run("-q", "--", "sh", "-c", "kill -KILL $$").err


def test_memory_and_cpu_time_are_those_of_the_workload_and_its_children(run: Run) -> None:
    """Compared with real use: 200 MiB, and half a second."""
    program = "import time; x = b'x' * (200 << 20); t = time.process_time()\nwhile time.process_time() < t + 0.5: pass"
    record = json.loads(run("--exit-report=always", "--log-format=json", "--", *python(program)).err)
    assert 200 << 20 < record["peak_memory_bytes"] < 300 << 20
    assert 0.5 <= record["cpu_seconds"] < 5
    assert record["seconds"] >= 0.5


def test_json_has_the_same_facts_under_stable_names(start: Start) -> None:
    """docs/log.md lists the names."""
    child = "import _signal; _signal.signal(15, _signal.SIG_IGN); print('ready', flush=True); _signal.pause()"
    script = "trap 'exit 7' TERM; \"$@\" & while :; do sleep 0.05; done"
    options = ["--drain-timeout=0.3", "--log-format=json", "-e7:9"]
    container = start(*options, "--", "/bin/sh", "-c", script, "sh", *python(child), before=IN_TIME)
    container.expect("ready")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert ended.status == 9
    record = json.loads(ended.err.splitlines()[-1])
    documented = Path(__file__).parents[2].joinpath("docs", "log.md").read_text()
    assert all(f"`{name}`" in documented for name in record), record
    known = {
        "level": "error",
        "event": "ended",
        "name": "sh",
        "status": 7,
        "exit_status": 9,
        "killed_by": None,
        "signal": "SIGTERM",
        "sender_pid": 0,
        "killed_after_seconds": None,
        "stragglers_killed": 1,
        "stragglers_killed_names": [Path(INTERPRETER).name],
    }
    assert {name: record[name] for name in known} == known, record
    assert record["orphans_reaped"] >= 1 and record["signal_seconds"] < record["seconds"]


def test_hundreds_of_stragglers_still_make_a_line(start: Start) -> None:
    """Stragglers are counted by name, and only some names are shown."""
    script = "for i in $(seq 300); do sleep 600 & done; echo ready; read line"
    options = ["--exit-report=always", "--drain-timeout=60"]
    container = start(*options, "--", "sh", "-c", script, stdin=subprocess.PIPE)
    container.expect("ready")
    ended = container.end()
    assert re.search(r"; 300 stragglers ended \(.*sleep x\d+.*\); 300 orphans reaped", ended.err), ended


def test_the_termination_log_gets_the_same_line(run: Run, tmp_path: Path) -> None:
    """After what the workload wrote there. A relative path is relative to the folder that pyinit was started in."""
    log = tmp_path / "termination-log"
    script = "echo 'last words' > termination-log; kill -KILL $$"
    for option in (f"--termination-log={log}", "--termination-log=termination-log"):
        ended = run(option, "--", "sh", "-c", script, cwd=tmp_path)
        assert ended.status == 137
        assert log.read_text() == "last words\n" + ended.err


def test_the_termination_log_is_created_and_has_no_line_about_ordinary_ends(run: Run, tmp_path: Path) -> None:
    """It gets one line about an abnormal end."""
    log = tmp_path / "log"
    run("-v", f"--termination-log={log}", "--", "true")
    assert not log.exists()
    run(f"--termination-log={log}", "--exit-report=always", "--", "true")
    assert "exited with 0" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) & 0o111 == 0


def test_the_termination_log_also_says_why_the_program_could_not_be_started(run: Run, tmp_path: Path) -> None:
    """So Kubernetes shows it."""
    log = tmp_path / "log"
    ended = run(f"--termination-log={log}", "--", "no-such-program")
    assert ended.status == 127
    assert log.read_text() == ended.err
    assert ended.err.startswith("pyinit: cannot find 'no-such-program' in PATH (")


@pytest.mark.parametrize("path", ["/dev/full", "/", "/no/such/folder/log", "fifo"])
def test_a_termination_log_that_cannot_be_written_is_a_warning(run: Run, tmp_path: Path, path: str) -> None:
    """A full device, a folder, a FIFO without a reader. The status is the same."""
    os.mkfifo(tmp_path / "fifo")
    ended = run(f"--termination-log={path}", "--", "sh", "-c", "kill -KILL $$", cwd=tmp_path)
    assert ended.status == 137
    first, second = ended.err.splitlines()
    assert "was killed by SIGKILL" in first
    assert second.startswith("pyinit: cannot write to the termination log '"), ended


def test_with_an_interpreter_without_resource_the_figures_are_missing(run: Run, launcher: str, tmp_path: Path) -> None:
    """It is an extension module, which a stripped image may lack."""
    hide = f'mount --bind /dev/null {resource.__file__} && exec "$@"'
    ended = run("--exit-report=always", "--", "sh", "-c", "exit 3", before=["unshare", "-m", "sh", "-c", hide, "sh"])
    assert ended.status == 3
    assert report_of(ended) == "pyinit: sh (pid N) exited with 3 after TIME"


def test_a_stalled_reader_of_standard_error_does_not_hold_up_the_end(start: Start) -> None:
    """The pipe is full, so the line is dropped. The status is the same."""
    program = """if True:
        import fcntl, os
        flags = fcntl.fcntl(2, fcntl.F_GETFL)
        fcntl.fcntl(2, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        try:
            while True:
                os.write(2, b"x" * 4096)
        except BlockingIOError:
            fcntl.fcntl(2, fcntl.F_SETFL, flags)
        os.kill(os.getpid(), 9)
    """
    container = start("--", *python(program))
    eventually(lambda: container.process.poll() is not None, "it has ended")
    assert container.end().status == 137


def test_a_straggler_that_changes_its_name_counts_once(run: Run) -> None:
    """It was killed, and no other process ended. SIGTERM comes when its name has been noted."""
    program = """if True:
        import _signal, posix
        reader, writer = posix.pipe()
        if posix.fork() == 0:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])
            posix.write(writer, b"+")
            _signal.sigwait([_signal.SIGTERM])
            with open("/proc/self/comm", "w") as file:
                file.write("renamed")
            _signal.pause()
        posix.read(reader, 1)
        posix._exit(3)
    """
    ended = run("--drain-timeout=3", "--", *python(program), before=IN_TIME)
    assert ended.status == 3
    assert re.search(r"; 1 straggler killed \(renamed after [\d.]+m?s\); 1 orphan reaped\n", ended.err), ended
    assert "straggler ended" not in ended.err, ended


def test_without_proc_the_number_of_killed_stragglers_is_not_claimed(start: Start) -> None:
    """It is not known."""
    without_proc = ["sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
    script = "(trap '' TERM; echo ready; exec sleep 60) & read line; exit 3"
    for form, told in (
        ("text", "; stragglers killed (which, /proc does not show)"),
        ("json", '"stragglers_killed": null'),
    ):
        options = [f"--log-format={form}", "--drain-timeout=0.2"]
        container = start(*options, "--", "sh", "-c", script, before=without_proc, stdin=subprocess.PIPE)
        container.expect("ready")
        ended = container.end()
        assert ended.status == 3
        assert told in ended.err, ended


def test_a_signal_that_came_after_the_death_explains_nothing(start: Start) -> None:
    """When the workload died of the signal, pyinit had not forwarded one."""
    program = """if True:
        import _signal, posix, sys
        reader, writer = posix.pipe()
        if posix.fork() == 0:
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
            posix.write(writer, b"+")
            sys.stdin.readline()
            posix._exit(0)
        posix.read(reader, 1)
        posix.kill(posix.getpid(), _signal.SIGTERM)
    """
    container = start("-v", "--drain-timeout=60", "--", *python(program), stdin=subprocess.PIPE)
    container.error_line(" to end")
    container.signal(signal.SIGTERM)
    container.error_line("SIGTERM from outside the container, not needed")
    container.say()
    ended = container.end()
    assert ended.status == 143
    assert "was killed by SIGTERM after" in ended.err and "from outside" not in ended.err, ended


@pytest.mark.parametrize(
    ("words", "variables", "is_written"),
    [
        (["--nonsense", "--", "true"], {"TERMINATION_LOG": "{log}"}, True),
        (["--termination-log={log}", "--nonsense", "--", "true"], {}, True),
        (["--drain-timeout=5s", "--termination-log={log}", "--", "true"], {}, True),
        (["--termination-log={log}", "true"], {"DRAIN_TIMEOUT": "5s", "EXIT_REPORT": "always"}, True),
        (["--exit-report=never", "--drain-timeout=5s", "true"], {"TERMINATION_LOG": "{log}"}, False),
        (["--nonsense", "--exit-report=never", "--", "true"], {"TERMINATION_LOG": "{log}"}, False),
        (["true"], {"DRAIN_TIMEOUT": "5s", "EXIT_REPORT": "never", "TERMINATION_LOG": "{log}"}, False),
    ],
)
def test_the_termination_log_gets_usage_errors(
    run: Run, tmp_path: Path, words: list[str], variables: dict[str, str], is_written: bool
) -> None:
    """Its path, and whether it is wanted, are known from what could be read of the flags and variables."""
    log = tmp_path / "log"
    environ = {f"PYINIT_{name}": value.format(log=log) for name, value in variables.items()}
    ended = run(*[word.format(log=log) for word in words], env=clean_environment(**environ))
    assert ended.status == 125 and ended.err.count("\n") == 1, ended
    assert (log.read_text() if log.exists() else "") == (ended.err if is_written else "")


RELOADS = """if True:
    import _signal, posix, sys
    number = int(sys.argv[1])
    _signal.signal(number, lambda *_: None)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [number])
    print("ready", flush=True)
    _signal.sigwait([number])
    print("reloaded", flush=True)
    sys.stdin.readline()
    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    print("armed", flush=True)
    if sys.argv[2:]:
        posix.kill(posix.getpid(), number)
    _signal.pause()
"""
"""Handle a signal, and later die of the same kind; with a second argument, of one that PID 1 has not forwarded."""


def test_of_several_signals_of_a_kind_the_last_explains_the_death(start: Start) -> None:
    """The first one was handled."""
    program = python(RELOADS, str(int(signal.SIGUSR1)))
    container = start("--exit-report=always", "--", *program, stdin=subprocess.PIPE, before=IN_TIME)
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.expect("reloaded")
    container.await_rest()  # by now it has seen that the signal was handled
    time.sleep(1.2)
    container.say()
    container.expect("armed")
    container.signal(signal.SIGUSR1)
    ended = container.end()
    assert re.search(
        r"was killed by SIGUSR1 after [\d.]+s, \d+ms after SIGUSR1 from outside the container", ended.err
    ), ended


def test_a_signal_that_was_handled_is_not_the_cause_of_a_later_death(start: Start) -> None:
    """No forwarded signal caused the death: it is reported, and the sender of the first signal is not blamed."""
    program = python(RELOADS, str(int(signal.SIGHUP)), "by itself")
    containers = [start(f"--log-format={form}", "--", *program, stdin=subprocess.PIPE) for form in ("text", "json")]
    for container in containers:
        container.expect("ready")
        container.signal(signal.SIGHUP)
        container.expect("reloaded")
        container.await_rest()  # by now it has seen that the signal was handled
    time.sleep(2)  # a signal that was handled counts for a second
    for container in containers:
        container.say()
        container.expect("armed")
    text, record = (container.end() for container in containers)
    assert text.status == record.status == 128 + signal.SIGHUP
    name = Path(INTERPRETER).name
    assert report_of(text) == f"pyinit: {name} (pid N) was killed by SIGHUP after TIME; TIME CPU, SIZE peak memory"
    facts = json.loads(record.err)
    causes = {key: facts[key] for key in facts if key.startswith(("signal", "sender"))}
    assert facts["killed_by"] == "SIGHUP", facts
    assert causes == {"signal": None, "signal_seconds": None, "sender_pid": None, "sender_uid": None}, facts


def test_a_signal_that_was_ignored_is_not_the_cause_of_a_later_death(start: Start) -> None:
    """The death is reported as one without a cause from outside."""
    script = "trap '' HUP; echo ready; read line; trap - HUP; kill -HUP $$"
    container = start("--", "bash", "-c", script, stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGHUP)
    container.await_rest()
    time.sleep(2)
    container.say()
    assert (
        report_of(container.end()) == "pyinit: bash (pid N) was killed by SIGHUP after TIME; TIME CPU, SIZE peak memory"
    )


SAVES = "trap 'echo saving; sleep {seconds}; trap - {name}; kill -{name} $$' {name}; echo ready; sleep 60 & wait"
"""Save its work on a signal, then die of it, as an interrupted shell or Python does."""


@pytest.mark.parametrize(("name", "seconds"), [("HUP", 0), ("USR1", 0), ("TERM", 0.3), ("INT", 0.3), ("TERM", 1.5)])
def test_a_workload_that_saves_first_and_then_dies_of_the_signal_died_of_it(
    start: Start, name: str, seconds: float
) -> None:
    """A stop signal explains the end however long that takes; any other signal explains only what follows soon."""
    number = getattr(signal, f"SIG{name}")
    script = SAVES.format(name=name, seconds=seconds)
    containers = [
        start(f"--exit-report={when}", "--drain-timeout=0", "--", "bash", "-c", script, before=IN_TIME)
        for when in ("abnormal", "always")
    ]
    for container in containers:
        container.expect("ready")
        container.signal(number)
        container.expect("saving")
    quiet, told = (container.end() for container in containers)
    assert (quiet.status, quiet.err, told.status) == (128 + number, "", 128 + number), quiet
    assert f"was killed by SIG{name} after TIME, TIME after SIG{name} from outside the container; " in report_of(told)


def test_a_signal_that_waited_in_the_workload_is_the_cause_of_its_death(start: Start) -> None:
    """The workload had blocked it for a while, and died when it unblocked it."""
    program = """if True:
        import _signal, sys
        _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGUSR1])
        print("ready", flush=True)
        sys.stdin.readline()
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGUSR1])
    """
    container = start("--exit-report=always", "--", *python(program), stdin=subprocess.PIPE)
    container.expect("ready")
    container.signal(signal.SIGUSR1)
    container.await_rest()
    time.sleep(1.5)  # longer than a handled signal counts
    container.say()
    ended = container.end()
    assert ended.status == 128 + signal.SIGUSR1
    assert ", TIME after SIGUSR1 from outside the container; " in report_of(ended)


def test_a_death_at_once_is_explained_by_the_signal(start: Start) -> None:
    """It is not reported, unless that was asked for."""
    for words, told in (("", ""), ("--exit-report=always", ", TIME after SIGHUP from outside the container; ")):
        container = start(*words.split(), "--", *SLEEPER)
        container.expect("ready")
        container.signal(signal.SIGHUP)
        ended = container.end()
        assert ended.status == 128 + signal.SIGHUP
        assert (told in report_of(ended)) if told else ended.err == "", ended
