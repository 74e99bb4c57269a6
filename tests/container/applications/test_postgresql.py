"""PostgreSQL in the background, as Debian starts it: an open transaction commits, and the server shuts down."""

from typing import Any

import pytest
from docker.models.containers import Container

from testing.containers import Containers, ended, printed, processes, read_file, stopped
from testing.waiting import eventually

WITH_TAIL = ("start",)
ALONE = ("service", "postgresql", "start")
PASSWORD = {"PGPASSWORD": "secret"}
PREPARE = ("-c", "ALTER USER postgres PASSWORD 'secret'", "-c", "CREATE TABLE notes (number int)")
COUNT = ("-c", "SELECT count(*) FROM notes")
SLEEPING = ("-c", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")


def ask(server: Container, *arguments: str) -> tuple[int | None, str]:
    """Run psql in the server's container as administrator; return its status and its output."""
    status, output = server.exec_run(["runuser", "-u", "postgres", "--", "psql", "-XqAt", *arguments])
    assert isinstance(output, bytes)
    return status, output.decode()


LONG_ENOUGH = 15.0
"""Seconds that a transaction takes, so that it is seen to have begun on a loaded machine, too."""


def await_answer(server: Container) -> None:
    """Wait until the server answers, and the script that started it has exited."""
    eventually(lambda: ask(server, "-c", "SELECT 1"), holds=lambda answer: answer == (0, "1\n"))
    eventually(
        lambda: [process.command for process in processes(server)[1:]],
        holds=lambda seen: not any("start" in command.split() for command in seen),
    )


class Server:
    """A server that answers; it can start a client in another container."""

    def __init__(self, containers: Containers, *command: str, **options: Any) -> None:
        self._containers = containers
        self.container = containers.start(*command, **options)
        await_answer(self.container)
        self._log = printed(self.container, "sh", "-c", "echo /var/log/postgresql/*.log").strip()
        assert ask(self.container, *PREPARE) == (0, "")

    def begin(self, seconds: float) -> Container:
        """Start a client whose transaction commits after `seconds`, and wait until the transaction has begun."""
        statements = ("BEGIN", "INSERT INTO notes VALUES (1)", f"SELECT pg_sleep({seconds})", "COMMIT")
        client = self._containers.start(
            *("psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", "localhost", "-U", "postgres"),
            *(word for statement in statements for word in ("-c", statement)),
            environment=PASSWORD,
            network_mode=f"container:{self.container.id}",
        )
        eventually(lambda: ask(self.container, *SLEEPING), holds=lambda answer: answer == (0, "1\n"))
        return client

    def log(self) -> str:
        """The log of the server."""
        return read_file(self.container, self._log)

    def start_again(self) -> int:
        """Start the container again; return the number of notes."""
        self.container.start()
        await_answer(self.container)
        _, count = ask(self.container, *COUNT)
        return int(count)


def test_transaction_commits_and_the_server_shuts_down(containers: Containers) -> None:
    """After the foreground program has exited, only the server gets TERM, and it waits for its clients."""
    server = Server(containers, *WITH_TAIL, environment={"PYINIT_DRAIN_TIMEOUT": "100"})
    client = server.begin(LONG_ENOUGH)
    end = stopped(server.container)
    assert (end.status, "pyinit:" in end.errors) == (143, False), end
    done = ended(client)
    assert done.status == 0 and done.output.endswith("COMMIT\n"), done
    log = server.log()
    assert log.endswith("database system is shut down\n") and "received smart shutdown request" in log, log
    assert server.start_again() == 1
    since = server.log().removeprefix(log)
    assert "database system was shut down at" in since and "was interrupted" not in since, since


def test_tini_loses_the_transaction_and_the_server_has_to_recover(
    containers: Containers, under_tini: dict[str, Any]
) -> None:
    """Control for the test above: the container ends with the foreground program."""
    server = Server(containers, *WITH_TAIL, **under_tini)
    client = server.begin(100)
    assert stopped(server.container).status == 143
    assert ended(client).status != 0
    assert "shutdown request" not in server.log() and "shut down\n" not in server.log()


@pytest.mark.parametrize("stop_signal", ["SIGTERM", "SIGINT"])
def test_server_without_a_foreground_program_shuts_down_as_the_signal_says(
    containers: Containers, stop_signal: str
) -> None:
    """On TERM it waits for the clients, on INT it aborts their transactions. The container ends with the server."""
    server = Server(containers, *ALONE, environment={"PYINIT_WAIT_FOR": "all"}, stop_signal=stop_signal)
    client = server.begin(LONG_ENOUGH if stop_signal == "SIGTERM" else 1000)
    end = stopped(server.container)
    assert (end.status, "pyinit:" in end.errors) == (0, False), end
    assert (ended(client).status == 0) == (stop_signal == "SIGTERM")
    manner = "smart" if stop_signal == "SIGTERM" else "fast"
    log = server.log()
    assert log.endswith("database system is shut down\n") and f"received {manner} shutdown request" in log, log
