"""Which processes are asked to end once the workload has ended, and in which order.

    pyinit
     |- master         a head: asked first
     |   `- pool       left to the master if that catches the signal, asked with it otherwise
     |- shell          asked, too. It runs a trap only after its foreground child has ended:
     |   `- child      so this is asked if the shell is still there a moment later
     `- filter         a reader: spared as long as its input may bring something, with its descendants

The kernel does not announce that a process becomes our child, or that a pipe loses its last writer: `look` looks again
and again.
"""

import posix
import time

from ..account import KILLING
from ..kernel import inputs, procfs, reserves, signals
from .stragglers import Tree, ask, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..account import Account
    from ..kernel.procfs import Process
    from ..reporting.log import Log

    Identity = tuple[int, int]

_AFTER_INPUT = 1.0
"""Seconds that a reader is spared after the end of its input, to deal with what it has read."""

_TRAP_RUNS_WITHIN = 0.2
"""Seconds. A shell that is still there this long after a signal that it catches waits for its foreground child."""

_REDIRECTS_WITHIN = 0.2
"""Seconds. A part of a shell's pipeline, or what is in ``>(...)``, has its standard input this long after its fork."""

_SHELLS = ("ash", "bash", "busybox", "dash", "ksh", "ksh93", "mksh", "sh", "yash", "zsh")


class Asking:
    """Asks processes to end, with one signal."""

    __slots__ = (
        "_account",
        "_children",
        "_done",
        "_dry",
        "_has_found_filters",
        "_log",
        "_newborn",
        "_number",
        "_readers",
        "_shells",
        "_stdin",
    )

    def __init__(self, number: int, account: "Account", log: "Log") -> None:
        self._number = number
        self._account = account
        self._log = log
        self._stdin = reserves.standard_input()
        self._children: "list[int] | None" = None
        """The pids of our children when we last looked."""
        self._done: "set[Identity]" = set()
        """The processes that have been dealt with: asked by us, now or before, or found to have ended."""
        self._readers: "dict[Identity, Process]" = {}
        """The readers that are spared."""
        self._dry: "dict[Identity, float]" = {}
        """When the input of a reader was found to be at its end."""
        self._newborn: "list[Process]" = []
        """Shells that may be about to become readers."""
        self._shells: "list[tuple[float, Process, list[Process]]]" = []
        """When to look at a shell that catches the signal, and the children that it had."""
        self._has_found_filters = False

    def look(self) -> bool:
        """Ask the heads and go down the tree; later ask what has become our child, readers whose time is over, and the
        foreground children of shells. Return what `are_filters` says of what is left."""
        children = procfs.children()
        now = time.monotonic()
        due = [(shell, had) for when, shell, had in self._shells if when <= now]
        readers = list(self._readers.values())
        looks = inputs.look_at([one.pid for one in readers], self._stdin)
        ready = [one for one in readers if not self._is_spared(one, looks[one.pid].input)] + self._newborn
        if children == self._children and not due and not ready:
            return False
        tree = Tree()
        has_asked = self._children is not None or not tree.outsiders
        if has_asked and self.are_filters(tree):
            return True
        self._newborn = []
        if self._children is None:
            self._report(tree)
        self._go_down(tree.heads, tree)
        self._go_down(tree.outsiders, tree, are_inside=False)
        self._ask_hidden(children, tree)
        present = {one.identity: one for one in tree.everyone()}
        self._go_down([present[one.identity] for one in ready if one.identity in present], tree)
        for shell, had in due:
            if shell.identity in present:
                there = [present[one.identity] for one in had if one.identity in present]
                seen = inputs.look_at([one.pid for one in there], self._stdin)
                there = [one for one in there if not _is_in_background(one, seen[one.pid].program, shell, tree)]
                self._go_down(there, tree)
        self._shells = [one for one in self._shells if one[0] > now]
        self._children = children
        return not has_asked and self.are_filters(tree)

    def are_filters(self, tree: Tree) -> bool:
        """Whether all that we wait for reads what we write, as in ``exec > >(tee log) 2>&1``. True once: now we have to
        close that, or they never reach the end of their input."""
        if self._has_found_filters or not tree.heads or not all(inputs.reads_from_us(one.pid) for one in tree.heads):
            return False
        looks = inputs.look_at([one.pid for one in tree.heads], self._stdin)
        self._has_found_filters = all(self._is_spared(one, looks[one.pid].input) for one in tree.heads)
        return self._has_found_filters

    def ask_rest(self) -> None:
        """Ask every process that has not been asked, except for readers."""
        for one in self._all_but_readers():
            self._send(one, self._number)

    def insist(self, number: int) -> None:
        """Send a signal to every process, asked or not, except for readers."""
        for one in self._all_but_readers():
            if ask(one, number, self._log) and number == signals.TERM:
                self._account.asked.setdefault(one.identity, time.monotonic())

    def split(self, tree: Tree) -> "tuple[list[Process], list[Process]]":
        """Our descendants, without the readers that are spared and their descendants, and these."""
        others: "list[Process]" = []
        readers: "list[Process]" = []
        level = tree.heads
        while level:
            looks = inputs.look_at([one.pid for one in level], self._stdin)
            spared = [one for one in level if self._is_spared(one, looks[one.pid].input)]
            rest = [one for one in level if one.identity not in self._readers]
            readers += spared
            others += rest
            level = [child for one in rest for child in tree.children(one)]
        return others, tree.below(readers)

    def _all_but_readers(self) -> "list[Process]":
        tree = Tree()
        others, _ = self.split(tree)
        return [one for one in others + tree.below(tree.outsiders) if not self._is_given_up(one)]

    def _report(self, tree: Tree) -> None:
        if self._account.is_draining:
            found = [one for one in tree.below(tree.heads) if not self._is_given_up(one)]
            self._account.add_stragglers(found)
            self._log.info("draining", f"asking {describe(found + tree.below(tree.outsiders))} to end")

    def _is_given_up(self, one: "Process") -> bool:
        """Whether it is the workload, which was sent SIGKILL and does not end, or may not be sent it."""
        return one.pid == self._account.pid and self._account.ending is None

    def _ask_hidden(self, children: "list[int]", tree: Tree) -> None:
        """Ask our children that /proc hides from us (``hidepid``, proc(5)). There may be zombies among them."""
        visible = {one.pid for one in tree.heads}
        for pid in children:
            if pid not in visible and (pid, 0) not in self._done:
                self._done.add((pid, 0))
                try:
                    posix.kill(pid, self._number)
                except OSError:  # not reached: one that hidepid hides, and that we may not signal either
                    pass

    def _go_down(self, level: "list[Process]", tree: Tree, are_inside: bool = True) -> None:
        """Ask processes, and below those that cannot act on the signal their children."""
        while level:
            level = [one for one in level if one.identity not in self._done]
            looks = inputs.look_at([one.pid for one in level], self._stdin)
            below = []
            for one in level:
                look = looks[one.pid]
                if are_inside and self._is_spared(one, look.input):
                    continue
                acts = procfs.acts_on(one.pid, self._number)  # before it gets the signal, which may end it
                if are_inside and not acts and look.program in _SHELLS and one.age() < _REDIRECTS_WITHIN:
                    self._newborn.append(one)
                    continue
                self._done.add(one.identity)
                children = tree.children(one)
                if not self._send(one, self._number) or not acts:
                    below += children
                elif children and look.program in _SHELLS:
                    self._shells.append((time.monotonic() + _TRAP_RUNS_WITHIN, one, children))
            level = below

    def _is_spared(self, one: "Process", input: int) -> bool:
        """Whether a process is a reader: it may still get something, has just got the last, or is to be killed last."""
        is_spared = self._account.stage == KILLING and one.identity in self._readers
        if input == inputs.FED:
            self._dry.pop(one.identity, None)
            is_spared = True
        elif input == inputs.RUN_DRY and not procfs.acts_on(one.pid, signals.TERM):
            now = time.monotonic()
            is_spared = now < self._dry.setdefault(one.identity, now) + _AFTER_INPUT
        if is_spared:
            self._readers[one.identity] = one
        else:
            self._readers.pop(one.identity, None)
        return is_spared

    def _send(self, one: "Process", number: int) -> bool:
        """Send the signal, SIGTERM only once; return whether the process has got it."""
        if self._is_given_up(one):
            return False
        asked = self._account.asked
        if number == signals.TERM and one.identity in asked:
            return True
        if not ask(one, number, self._log):
            return False
        if number == signals.TERM:
            asked[one.identity] = time.monotonic()
        name = signals.name_of(number)
        self._log.debug("asked", f"sent {name} to {one.name} (pid {one.pid})", pid=one.pid, name=one.name, signal=name)
        return True


def _is_in_background(child: "Process", program: str, shell: "Process", tree: Tree) -> bool:
    """Whether a shell has started this child with ``&``.

    Without job control it then ignores SIGINT and SIGQUIT, until it handles one of them. By POSIX no shell handles a
    signal that it was started with ignored, and bash always ignores SIGQUIT. A process in system(3) ignores both, and
    its child only if they were ignored before. If all children ignore both, since the shell was itself started with
    ``&``, they cannot be told apart: all may be in the background.
    """
    if procfs.seems_in_system(child.pid):
        return all(procfs.ignores(one.pid, signals.INT) for one in tree.children(child))
    if procfs.ignores(child.pid, signals.INT):
        return procfs.ignores(child.pid, signals.QUIT) or not procfs.ignores(shell.pid, signals.INT)
    return procfs.ignores(child.pid, signals.QUIT) and program not in _SHELLS
