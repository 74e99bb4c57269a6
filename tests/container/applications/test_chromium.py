"""Headless Chromium, driven with Selenium: whatever a session leaves behind, none of it stays."""

import re
from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, Process, await_output, processes, stopped
from testing.waiting import eventually

# Serves a page, reads its title in so many sessions, ends each in the way that is asked for, and sleeps.
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

# The page takes this many seconds to come, and says when it is asked for.
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

# A browser takes many seconds where others keep the machine busy, for its end as well.
SECONDS_TO_BROWSE = 120
SECONDS_TO_STOP = 100
PATIENT = {"PYINIT_STOP_TIMEOUT": "60", "PYINIT_DRAIN_TIMEOUT": "30"}


def start(containers: Containers, number: int, end: str, **options: Any) -> Container:
    """A container in which so many sessions have been ended."""
    container = containers.start("python3", "-c", SESSIONS, str(number), end, **options)
    await_output(container, "title: hello\n" * number + "done\n", SECONDS_TO_BROWSE)
    return container


def left(container: Container) -> list[Process]:
    """Who is there besides the init and the program."""
    return [process for process in processes(container) if "-c" not in process.command.split() and process.pid != 1]


@pytest.mark.parametrize(
    ("end", "orphans"), [("quit", "keep"), ("kill both", "keep"), ("kill chromedriver", "terminate")]
)
def test_nothing_is_left_of_sessions_that_have_ended(containers: Containers, end: str, orphans: str) -> None:
    """Neither a zombie nor a live process; if chromedriver alone was killed it takes --orphans=terminate."""
    container = start(containers, 5, end, environment={"PYINIT_ORPHANS": orphans})
    eventually(lambda: left(container), holds=lambda seen: seen == [])


def test_zombies_are_left_of_every_session_without_an_init(containers: Containers) -> None:
    """The check of the test above: two crash handlers each, and the processes of the browser."""
    container = start(containers, 2, "quit", entrypoint=[])
    seen = eventually(lambda: left(container), holds=lambda seen: {process.state for process in seen} == {"Z"})
    assert [process.command for process in seen].count("[chrome_crashpad] <defunct>") == 4, seen
    assert len(seen) > 10, seen


def test_browser_whose_chromedriver_was_killed_lives_on(containers: Containers) -> None:
    """The check of the test above: by default an orphan is kept. It goes with the container."""
    container = start(containers, 1, "kill chromedriver", environment=PATIENT | {"PYINIT_ORPHANS": "keep"})
    orphans = sorted(process.command.split("/")[4].split()[0] for process in left(container) if process.parent == 1)
    assert orphans == ["chrome_crashpad_handler"] * 2 + ["chromium"], left(container)
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert end.status == 143, end
    assert re.search(r"stragglers? killed", end.errors) is None, end


def test_session_is_quit_when_the_container_stops(containers: Containers) -> None:
    """When the page has come; the status is the program's own, nobody had to be killed, and it takes no capability."""
    container = containers.start("python3", "-c", SLOW_PAGE, "1", cap_drop=["ALL"], environment=PATIENT)
    await_output(container, "asked for the page\n", SECONDS_TO_BROWSE)
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert (end.status, end.errors) == (0, "")


def test_page_that_never_comes_does_not_hold_up_the_end(containers: Containers) -> None:
    """Quitting waits for it: the program is killed after the stop timeout, and the browser goes when it is asked to."""
    container = containers.start("python3", "-c", SLOW_PAGE, "1000", environment=PATIENT | {"PYINIT_STOP_TIMEOUT": "5"})
    await_output(container, "asked for the page\n", SECONDS_TO_BROWSE)
    end = stopped(container, timeout=SECONDS_TO_STOP)
    assert end.status == 137, end
    assert re.search(r"it did not exit within \d+\.\ds of SIGTERM", end.errors), end
    assert re.search(r"stragglers? ended (by themselves )?\(", end.errors) and "killed (" not in end.errors, end
