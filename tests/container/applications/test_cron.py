"""cron as the workload: its jobs have the container's environment and log, and time to finish at a stop."""

import tarfile
import time
from io import BytesIO

from docker.models.containers import Container

from testing.containers import Containers, await_output, printed, processes, stopped
from testing.waiting import eventually

ENVIRONMENT = {"CUSTOMER": """it's "us", \\$HOME""", "PYINIT_DRAIN_TIMEOUT": "60"}
AT_WORK = f"at-start: at work for {ENVIRONMENT['CUSTOMER']}\n"

# A job in the background, a daemon, and many orphans that exit soon.
LEAVES_ORPHANS = """
@reboot root sleep 100 &
@reboot root (setsid sleep 200 &)
@reboot root for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.$n &); done
@reboot root sleep 1.5; echo over >/proc/1/fd/1
"""

BARE = "@reboot root python3 /app/report.py bare >/proc/1/fd/1\n"


def start_with(containers: Containers, crontab: str) -> Container:
    """Start a container with this crontab instead of the recipe's."""
    container = containers.create(environment=ENVIRONMENT)
    member = tarfile.TarInfo("crontab")
    member.size = len(crontab)
    member.mtime = time.time()  # cron ignores a file of 1970
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(member, BytesIO(crontab.encode()))
    assert container.put_archive("/etc", archive.getvalue())
    container.start()
    return container


def test_job_that_runs_at_docker_stop_saves_its_work(containers: Containers) -> None:
    """TERM kills cron at once, which the recipe does not count as a failure. The job gets TERM, and time to finish."""
    container = containers.start(environment=ENVIRONMENT)
    await_output(container, AT_WORK)
    end = stopped(container)
    assert (end.status, end.output, end.errors) == (0, f"{AT_WORK}at-start: saved what it had\n", "")


def test_stopped_cron_has_status_143(containers: Containers) -> None:
    """Without the recipe's remapping."""
    container = containers.start(environment={"PYINIT_REMAP_EXIT": ""})
    await_output(container, "at-start: at work for nobody\n")
    assert stopped(container).status == 143


def test_jobs_leave_no_zombie(containers: Containers) -> None:
    """pyinit adopts the processes that a job leaves. They keep running, and are reaped when they exit."""
    container = start_with(containers, LEAVES_ORPHANS)
    await_output(container, "over\n")
    eventually(
        lambda: sorted((process.parent, process.command) for process in processes(container)[1:]),
        holds=lambda seen: seen == [(1, "cron -f"), (1, "sleep 100"), (1, "sleep 200")],
    )


def test_job_does_not_get_the_environment_of_the_container(containers: Containers) -> None:
    """cron does not pass it on. In the recipe a wrapper script provides it, from a file that only root can read."""
    container = start_with(containers, BARE)
    await_output(container, "bare: at work for nobody\n")
    assert printed(container, "stat", "--format=%U %a", "/run/environment") == "root 600\n"


def test_every_start_of_the_container_is_a_boot(containers: Containers) -> None:
    """The @reboot jobs run at each start. cron alone would run them only at the first."""
    container = containers.start(environment=ENVIRONMENT)
    await_output(container, AT_WORK)
    container.restart()
    eventually(lambda: container.logs().decode(), holds=lambda said: said.count(AT_WORK) == 2)
