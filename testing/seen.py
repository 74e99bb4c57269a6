"""Writes docs/seen.md from the results of tests: `python -m testing.seen [FILE]...`.

The default is every file in .cache/results. The files are pytest's (--junitxml), with the properties that
tests/conftest.py adds.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testing import ROOT

RESULTS = ROOT / ".cache" / "results"
PAGE = ROOT / "docs" / "seen.md"

TOP = """# Seen to work

What the tests were run on, and what came of it. `python -m testing.seen` writes this page from the results of
`pytest --junitxml`: every row was really run. Of a test that was run several times, the last run counts.
"""

IN_CONTAINERS = ("container.", "machine.swarm")
"""Prefixes of the names of tests that need an engine: they run the image's interpreter, the others the machine's."""

EITHER = {"System": "system", "Kernel": "kernel", "cgroup": "cgroup", "systemd": "systemd"}
INTERPRETERS, ENGINES = "Interpreters and C libraries", "Engines"
TABLES = {
    INTERPRETERS: {**EITHER, "Interpreter": "interpreter", "C library": "libc"},
    ENGINES: {**EITHER, "Docker": "docker", "compose": "compose", "podman": "podman"},
}
"""The columns of each table, and the properties that they show."""

OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}
FEW = 8
"""Up to this many modules are named one by one."""


@dataclass
class Row:
    """What was run in one place: outcomes by folder, module and test."""

    outcomes: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def modules(self) -> list[str]:
        """The modules that were run, in words."""
        found: dict[str, set[str]] = {}
        for folder, module, _ in self.outcomes:
            found.setdefault(folder, set()).add(module)
        return [worded(folder, modules) for folder, modules in sorted(found.items())]

    def count(self) -> Counter[str]:
        """How many tests had each outcome."""
        return Counter(self.outcomes.values())


def worded(folder: str, modules: set[str]) -> str:
    """All of a folder of tests, or the modules of it by name, or their number."""
    there = {name_of(path) for path in (ROOT / "tests" / folder).rglob("test_*.py")}
    if there <= modules:
        return f"all of `tests/{folder}`"
    if len(modules) > FEW:
        return f"{len(modules)} of {len(there)} modules of `tests/{folder}`"
    return f"`tests/{folder}`: {', '.join(sorted(modules))}"


def name_of(path: Path) -> str:
    """The name of a module of tests below its folder: ``ending.readers``."""
    return ".".join(path.relative_to(ROOT / "tests").with_suffix("").parts[1:]).replace("test_", "")


def rows(files: Iterable[Path]) -> dict[str, dict[tuple[str, ...], Row]]:
    """The rows of each table, by what their first columns show."""
    suites = [suite for path in files for suite in ElementTree.parse(path).iter("testsuite")]
    found: dict[str, dict[tuple[str, ...], Row]] = {title: {} for title in TABLES}
    for suite in sorted(suites, key=lambda suite: suite.attrib["timestamp"]):
        properties = {one.attrib["name"]: one.attrib["value"] for one in suite.iterfind("properties/property")}
        for case in suite.iterfind("testcase"):
            _, folder, *modules = case.attrib["classname"].split(".")
            name = ".".join(modules).replace("test_", "")
            title = ENGINES if f"{folder}.{name}".startswith(IN_CONTAINERS) else INTERPRETERS
            row = found[title].setdefault(shown(properties, TABLES[title]), Row())
            row.outcomes[folder, name, case.attrib["name"]] = outcome(case)
    return found


def shown(properties: Mapping[str, str], columns: Mapping[str, str]) -> tuple[str, ...]:
    """The text of the first columns."""
    return tuple(properties[name] or "none" for name in columns.values())


def outcome(case: ElementTree.Element) -> str:
    """How a test ended."""
    return next((OUTCOMES[child.tag] for child in case if child.tag in OUTCOMES), "passed")


def render(found: Mapping[str, Mapping[tuple[str, ...], Row]]) -> str:
    """The page."""
    lines = [TOP]
    for title, table in found.items():
        if not table:
            continue
        lines += [f"## {title}\n"]
        lines += [line(*TABLES[title], "Tests", "passed", "failed", "skipped")]
        lines += [line(*["---"] * (len(TABLES[title]) + 1), *["---:"] * 3)]
        for columns, row in sorted(table.items()):
            count = row.count()
            lines += [
                line(
                    *columns,
                    "<br>".join(row.modules()),
                    *(f"{count[one]:,}" for one in ("passed", "failed", "skipped")),
                )
            ]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def line(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """Write the page."""
    files = [Path(name) for name in arguments] or sorted(RESULTS.glob("*.xml"))
    if not files:
        raise SystemExit(f"no results in {RESULTS}: run tests with --junitxml")
    PAGE.write_text(render(rows(files)))


if __name__ == "__main__":
    main(sys.argv[1:])
