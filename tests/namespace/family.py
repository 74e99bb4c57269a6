"""A workload that is a family of processes (`family.c`), and what its members say."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from testing.compiler import compile_c
from testing.namespaces import Container, Ended


class Family:
    """The program. It is static, and every user may execute it."""

    def __init__(self, folder: Path) -> None:
        """Compile it into `folder`."""
        self.path = str(compile_c(Path(__file__).with_name("family.c").read_text(), folder / "family"))

    def words(self, description: str) -> list[str]:
        """The words that run such a family."""
        return [self.path, *description.split()]


def await_ready(container: Container, *names: str) -> dict[str, int]:
    """Wait until each of these members is ready; return their pids in the namespace.

    Fails if they write anything else before.
    """
    pids: dict[str, int] = {}
    missing = Counter(names)
    while missing.total():
        line = container.hear()
        match = re.fullmatch(r"(\S+) ready (\d+)", line)
        assert match and missing[match[1]], f"{line!r} while these were not ready: {missing}"
        missing[match[1]] -= 1
        pids[match[1]] = int(match[2])
    return pids


def lines(name: str, count: int) -> list[str]:
    """The output of a filter that gets `count` lines from a writer."""
    return [f"{name} line {number}" for number in range(1, count + 1)]


def assert_said(ended: Ended, status: int, expected: Iterable[str], pyinit: int = 1) -> None:
    """Check the status, and that these lines alone were said, in any order; ``TERM`` is one that pyinit sent."""
    said = Counter(ended.out.splitlines())
    wanted = Counter(line.replace("TERM", f"TERM from {pyinit}") for line in expected)
    problems = [f"lost: {line}" for line in (wanted - said).elements()]
    problems += [f"not expected: {line}" for line in (said - wanted).elements()]
    if ended.status != status:
        problems.append(f"status {ended.status} instead of {status}")
    assert not problems, "\n".join([*problems, f"standard output:\n{ended.out}", f"standard error:\n{ended.err}"])
