"""Compile a folder of modules for PID 1: ``python -X no_debug_ranges compile_ahead.py FOLDER [--sourceless]``.

Without docstrings, and (that is what the option of the interpreter is for) without the columns of each expression:
PID 1 would load both at each start and keep them for good. A program of its own, since the option is for a whole
interpreter.
"""

import importlib.util
import py_compile
import shutil
import sys
from pathlib import Path

SCRIPTS = ("launcher.py", "compile_ahead.py")
"""What is run, and never imported."""


def main(folder: Path, sourceless: bool) -> None:
    """Compile every module, as what the interpreter loads by default; raises if one cannot be.

    `sourceless`: in the place of its source, for an image that has the sources in another form.
    """
    for source in [path for path in folder.rglob("*.py") if path.name not in SCRIPTS]:
        target = source.with_suffix(".pyc") if sourceless else importlib.util.cache_from_source(source)
        py_compile.compile(str(source), str(target), doraise=True, optimize=2)
        if sourceless:
            source.unlink()
            shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--sourceless" in sys.argv)
