"""Makes a zombie: a parent that never joins its child.

    python3 never_joins.py &
    sleep 1; ps -o pid,ppid,stat,command --ppid $!

What to see: the child has exited, and stays a zombie (`Z`, `<defunct>`) as long as its parent runs. No init can help:
the child is not an orphan, so only its parent can reap it. `child.join()` would reap it. So would an init, once the
parent has exited.
"""

import multiprocessing
import signal


def main() -> None:
    """Start a child that exits at once, and never wait for it."""
    # With "fork" the child is ours. With the default of Python 3.14 its parent is the fork server, which reaps it.
    child = multiprocessing.get_context("fork").Process(target=print, args=("child: I am done",))
    child.start()
    print(f"parent: not joining pid {child.pid}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
