"""Headless Chromium, driven with Selenium: no process of an ended session stays."""

import re
from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, Process, await_output, processes, stopped
from testing.waiting import eventually

# Serves a page, reads its title in several sessions, ends each session in the given way, and sleeps.
SESSIONS = """
import contextlib, http.server, os, pathlib, signal, sys, threading
from browse import browser

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<title>hello</title>")
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(int(sys.argv[1])):
    session = browser()
    session.get("http://127.0.0.1:8000/")
    print("title:", session.title, flush=True)
    driver = session.service.process
    if sys.argv[2] == "quit":
        session.quit()
    else:
        if sys.argv[2] == "kill both":
            for children in pathlib.Path(f"/proc/{driver.pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # a thread that has ended
                    for browser_pid in children.read_text().split():
                        os.kill(int(browser_pid), signal.SIGKILL)
        driver.kill()
        driver.wait()
print("done", flush=True)
while True:
    signal.pause()
"""

# Serves a page that takes the given number of seconds to load, and prints a line for each request.
SLOW_PAGE = """
import socket, sys, threading, time
import browse

def serve(server):
    while True:
        connection, _ = server.accept()
        connection.recv(10000)
        print("asked for the page", flush=True)
        time.sleep(float(sys.argv[1]))
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n<title>hello</title>")
        connection.close()

server = socket.create_server(("127.0.0.1", 8000))
threading.Thread(target=serve, args=(server,), daemon=True).start()
browse.main("http://127.0.0.1:8000/")
"""

# On a busy machine, a browser takes many seconds, to start and to exit.
SECONDS_TO_BROWSE = 400
SECONDS_TO_STOP = 200
PATIENT = {"PYINIT_STOP_TIMEOUT": "60", "PYINIT_DRAIN_TIMEOUT": "90"}


def start(containers: Containers, number: int, end: str, **options: Any) -> Container:
    """Start a container, and wait until `number` sessions have ended in it."""
    container = containers.start("python3", "-c", SESSIONS, str(number), end, **options)
    await_output(container, "title: hello\n" * number + "done\n", SECONDS_TO_BROWSE)
    return container


def remaining(container: Container) -> list[Process]:
    """All processes except the init and the program."""
    return [process for process in processes(container) if "-c" not in process.command.split() and process.pid != 1]


@pytest.mark.parametrize(
    ("end", "orphans"), [("quit", "keep"), ("kill both", "keep"), ("kill chromedriver", "terminate")]
)
def test_ended_sessions_leave_no_process(containers: Containers, end: str, orphans: str) -> None:
    """No zombie and no running process. If only chromedriver was killed, this needs --orphans=terminate."""
    container = start(containers, 5, end, environment={"PYINIT_ORPHANS": orphans})
    eventually(lambda: remaining(container), holds=lambda seen: seen == [])


def test_every_session_leaves_zombies_without_an_init(containers: Containers) -> None:
    """Control for the test above: each session leaves two crash handlers, and the processes of the browser."""
    container = start(containers, 2, "quit", entrypoint=[])
    seen = eventually(lambda: remaining(container), holds=lambda seen: {process.state for process in seen} == {"Z"})
    assert [process.command for process in seen].count("[chrome_crashpad] <defunct>") == 4, seen
    assert len(seen) > 10, seen


def test_browser_keeps_running_after_its_chromedriver_was_killed(containers: Containers) -> None:
    """Control for the test above: by default an orphan is kept. It ends with the container."""
    container = start(containers, 1, "kill chromedriver", environment=PATIENT | {"PYINIT_ORPHANS": "keep"})

    def orphans() -> list[str]:
        found = [process for process in remaining(container) if (process.parent, process.state != "Z") == (1, True)]
        return sorted(process.command.split("/")[4].split()[0] for process in found)

    eventually(orphans, holds=lambda names: names == ["chrome_crashpad_handler"] * 2 + ["chromium"])
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert end.status == 143, end
    assert re.search(r"stragglers? killed", end.errors) is None, end


def test_session_is_quit_when_the_container_stops(containers: Containers) -> None:
    """It is quit when the page has loaded. The status is the program's, no process is killed, and no capability is
    needed."""
    container = containers.start("python3", "-c", SLOW_PAGE, "1", cap_drop=["ALL"], environment=PATIENT)
    await_output(container, "asked for the page\n", SECONDS_TO_BROWSE)
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert (end.status, end.errors) == (0, "")


def test_page_that_never_loads_does_not_delay_the_stop(containers: Containers) -> None:
    """Quitting waits for the page. So the stop timeout kills the program, and the browser exits on TERM."""
    container = containers.start("python3", "-c", SLOW_PAGE, "1000", environment=PATIENT | {"PYINIT_STOP_TIMEOUT": "5"})
    await_output(container, "asked for the page\n", SECONDS_TO_BROWSE)
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert end.status == 137, end
    assert re.search(r"it did not exit within \d+\.\ds of SIGTERM", end.errors), end
    assert re.search(r"stragglers? ended (by themselves )?\(", end.errors) and "killed (" not in end.errors, end
