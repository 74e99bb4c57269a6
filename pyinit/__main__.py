"""``python -m pyinit`` and the installed command: start over in isolation, and become the init.

The interpreter that gets here has already listened to the image: PYTHON* variables, ``.pth`` files,
``sitecustomize``. So it makes way for one that does not, which runs ``launcher.py``. The launcher that
``pyinitctl install`` writes is started in isolation at once.
"""

import os
import sys

from pyinit import environment


def main() -> None:
    """Replace this process with the init, given the arguments of this process. Does not return."""
    environment.restore()  # or the next interpreter would take our changes for the original
    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    name = os.path.basename(sys.argv[0])  # of the installed command, or of a link to it
    if name == "__main__.py":
        name = "pyinit"
    try:
        os.execv(sys.executable, [sys.executable, "-ISBXutf8", f"-Xname={name}", launcher, *sys.argv[1:]])
    except (OSError, ValueError) as error:  # ValueError: the interpreter does not know where it is
        sys.exit(_fail(f"pyinit: cannot start the interpreter {sys.executable!r} anew: {error}"))


def _fail(message: str) -> int:
    if sys.stderr:
        print(message, file=sys.stderr)
    return 125


if __name__ == "__main__":
    main()
