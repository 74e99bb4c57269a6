"""A zombie made by hand: a parent that never joins its child.

    python3 never_joins.py &
    sleep 1; ps -o pid,ppid,stat,command --ppid $!

What to see: the child has ended and stays as a zombie (`Z`, `<defunct>`) for as long as its parent lives. No init can
help: the child is no orphan, and only its parent may reap it. `child.join()` would, or the end of the parent.
"""

import multiprocessing
import signal


def main() -> None:
    """Start a child that ends at once, and do something else for ever."""
    # By "fork" the child is our own; the fork server of Python 3.14 would be a parent that reaps.
    child = multiprocessing.get_context("fork").Process(target=print, args=("child: I am done",))
    child.start()
    print(f"parent: not joining pid {child.pid}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
