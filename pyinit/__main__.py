"""``python -m pyinit`` and the installed command: start over in isolation, and become the init.

The interpreter that gets here has already listened to the image: PYTHON* variables, ``.pth`` files,
``sitecustomize``. So it is replaced by one that has not, which runs ``launcher.py``. The launcher that
``pyinitctl install`` writes is started in isolation at once.
"""

import errno
import os
import sys

import pyinit
from pyinit.kernel import signals
from pyinit.workload import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import NoReturn


def main() -> None:
    """Replace this process with the init, given the arguments of this process. Does not return."""
    name = sys.argv[0]  # the path of the installed command, or of a link to it
    try:
        start_over("pyinit" if os.path.basename(name) == "__main__.py" else name, sys.argv[1:], signals.block())
    except OSError as error:
        sys.exit(_fail(f"pyinit: {error.strerror}"))


def start_over(
    name: str, words: "Sequence[str | bytes]", mask: "Collection[int]", workload: "str | None" = None
) -> "NoReturn":
    """Replace this process with an isolated interpreter that is the init, called `name`, with this command line.

    All signals are blocked here, and stay so; `mask` are those that were before. `workload`: what `adopted.describe`
    says of the workload, if there is one already.

    Raises:
        OSError: no interpreter can be started.
    """
    launcher = os.path.join(os.path.dirname(os.path.abspath(pyinit.__file__)), "launcher.py")
    left = [f"-Xname={name}", f"-Xmask={','.join([str(int(number)) for number in mask])}"]
    if workload:
        left.append(f"-Xworkload={workload}")
    try:
        os.stat(launcher)
    except OSError as error:  # it is not there in an archive
        raise OSError(error.errno, f"cannot start {launcher}: {error.strerror}") from None
    if sys.orig_argv[2:3] and sys.orig_argv[2].startswith("-Xname="):  # it has started us in the place of that
        raise OSError(errno.ENOEXEC, f"{sys.executable!r} is not an interpreter")
    environment.restore()  # or the next interpreter would take our changes for the original
    try:
        os.execv(sys.executable, [sys.executable, "-ISBXutf8", *left, launcher, *words])
    except (OSError, TypeError, ValueError) as error:  # the last two: the interpreter does not know where it is
        reason = error.strerror if isinstance(error, OSError) else error
        code = error.errno if isinstance(error, OSError) else errno.ENOENT
        if code == errno.E2BIG:
            from pyinit.workload.explain import too_long

            reason = too_long([os.fsencode(word) for word in words], os.environb)
        raise OSError(code, f"cannot start the interpreter {sys.executable!r} anew: {reason}") from None


def _fail(message: str) -> int:
    if sys.stderr:
        print(message, file=sys.stderr)
    return 125


if __name__ == "__main__":
    main()
