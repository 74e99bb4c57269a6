"""The end if /proc is missing, shows another namespace, or hides other users' processes."""

import signal
import subprocess
import time

import psutil
import pytest

from testing.waiting import eventually

from ..conftest import Start
from ..family import Family, await_ready
from .conftest import AT_ONCE, IN_ORDER, SUBREAPER, WITH_CAPABILITIES_OF_DOCKER, Ready, end_in_order

WITHOUT_PROC = {
    "none": "umount -l /proc && umount -l /proc",
    "empty": "mount -t tmpfs none /proc",
    "of another namespace": "umount -l /proc",  # uncovers that of the machine
}


def after(preparation: str) -> list[str]:
    """Words that run the preparation, and then execute the words after them."""
    return ["sh", "-c", f'{preparation} && exec "$@"', "sh"]


@pytest.mark.parametrize("preparation", WITHOUT_PROC.values(), ids=WITHOUT_PROC.keys())
def test_without_proc_all_are_asked_at_once(ready: Ready, preparation: str) -> None:
    """No order can be found. Still no process is killed without being asked, and pyinit exits with the last."""
    end_in_order(ready(before=after(preparation)), AT_ONCE)


def test_a_workload_may_take_proc_away(ready: Ready) -> None:
    """It mounts something over it. All are asked anyway."""
    end_in_order(ready(around=after("mount -t tmpfs none /proc")), AT_ONCE)


@pytest.mark.parametrize("preparation", WITHOUT_PROC.values(), ids=WITHOUT_PROC.keys())
def test_a_subreaper_without_proc_leaves_all_alone(start: Start, family: Family, preparation: str) -> None:
    """It cannot see which processes are its own: it says so and exits at once, and they live on."""
    before = [*after(preparation), *SUBREAPER]
    members = family.words("main line 7 { worker save 0.1 plain die }")
    container = start("--drain-timeout=60", "--", *members, before=before, stdin=-1)
    await_ready(container, "main", "worker", "plain")
    begin = time.monotonic()
    container.say()
    container.expect("over 7")
    assert time.monotonic() - begin < 20
    living = [process.name() for process in psutil.Process(container.init).children()]
    container.say()
    ended = container.end()
    assert sorted(living) == ["plain", "worker"], ended
    assert ended.out == "", ended
    assert ended.err.count("\n") == ended.err.count("cannot see which processes remain") == 1, ended


@pytest.mark.parametrize("user", [[], ["--user=1010:1011"]], ids=["root", "another user"])
@pytest.mark.parametrize(
    "capabilities", [[], WITH_CAPABILITIES_OF_DOCKER], ids=["all capabilities", "Docker's capabilities"]
)
@pytest.mark.parametrize(
    "hiding", ["hidepid=2", "hidepid=2,gid=4242"]
)  # members of that group (default: root's) see all
def test_with_hidepid_they_are_asked_in_order(
    ready: Ready, user: list[str], capabilities: list[str], hiding: str
) -> None:
    """Without CAP_SYS_PTRACE pyinit cannot see another user's processes at all, and these are asked at once."""
    container = ready(*user, before=[*after(f"mount -o remount,{hiding} /proc"), *capabilities])
    is_hidden = user and capabilities and "gid" in hiding
    end_in_order(container, AT_ONCE if is_hidden else IN_ORDER)


@pytest.mark.parametrize("options", [[], ["-g"], ["--forward-to=all"]], ids=["child", "group", "all"])
@pytest.mark.parametrize("preparation", WITHOUT_PROC.values(), ids=WITHOUT_PROC.keys())
def test_without_proc_a_stopped_workload_hears_a_stop_signal(
    start: Start, preparation: str, options: list[str]
) -> None:
    """It cannot be seen that it is stopped, but the kernel has said so."""
    program = "trap 'echo asked; exit 5' TERM; echo ready; kill -STOP $$; sleep 1000 & wait"
    container = start("--stop-timeout=20", *options, "--", "sh", "-c", program, before=after(preparation))
    container.expect("ready")
    [workload] = psutil.Process(container.init).children()
    eventually(lambda: workload.status() == psutil.STATUS_STOPPED, "the workload is stopped")
    container.signal(signal.SIGTERM)
    ended = container.end()
    assert (ended.status, ended.out) == (5, "asked\n"), ended


@pytest.mark.parametrize("preparation", WITHOUT_PROC.values(), ids=WITHOUT_PROC.keys())
def test_without_proc_it_says_once_what_it_cannot_look_for(start: Start, preparation: str) -> None:
    """And the status is the workload's."""
    options = ["--zombie-watch=0.05", "--orphans=terminate", "--", "sh", "-c", "read line; exit 3"]
    container = start(*options, before=after(preparation), stdin=subprocess.PIPE)
    said = [f"pyinit: cannot look for {what}, without /proc\n" for what in ("orphans", "zombies")]
    assert sorted(container.error_line() for _ in said) == said
    time.sleep(1.2)  # it looks for orphans each second
    container.say()
    ended = container.end()
    assert (ended.status, ended.err) == (3, ""), ended
