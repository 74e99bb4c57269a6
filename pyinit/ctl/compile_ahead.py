"""Compile a folder of modules for PID 1: ``python -X no_debug_ranges compile_ahead.py FOLDER``.

Without docstrings, and (that is what the option is for) without the columns of each expression: PID 1 would load both
at each start and keep them for good. A program of its own, since the option is for a whole interpreter.
"""

import importlib.util
import py_compile
import sys
from pathlib import Path

LEFT_OUT = ("launcher.py", "compile_ahead.py", "install.py")
"""What is run and never imported, and what only a build needs."""


def main(folder: str) -> None:
    """Compile every module but these, as what the interpreter loads by default; raises if one cannot be."""
    for source in Path(folder).rglob("*.py"):
        if source.name not in LEFT_OUT:
            py_compile.compile(str(source), importlib.util.cache_from_source(source), doraise=True, optimize=2)


if __name__ == "__main__":
    main(sys.argv[1])
