"""Takes away what PID 1 could depend on: the first acts of a workload (tests/namespace/independence/actor.c)."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soak.fault import Setting

LIMITED = ("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource")
"""As in a container: PID 1 may not raise its limits again."""

LATEST = 40
"""Milliseconds from the start of the workload to the damage, at most. PID 1 still loads modules then."""

_ENOUGH = 3
"""With this limit on descriptors PID 1 can still open one file: it gives up its standard input for that."""


@dataclass(frozen=True)
class Damage:
    """What is taken away, and when."""

    act: str
    """An act of the actor with its argument; the path of the installation is left out. Empty: nothing."""
    delay: int = 0
    """Milliseconds from the start of the workload."""

    @property
    def can_open_files(self) -> bool:
        """Whether PID 1 can still open a file."""
        return not self.act.startswith("take-descriptors") or int(self.act.split()[1]) >= _ENOUGH

    def workload(self, setting: Setting, *then: str) -> list[str]:
        """The words that do it and go on with these acts."""
        if not self.act:
            return [str(setting.programs / "actor"), *then]
        acts = self.act.split()
        if len(acts) == 1:
            acts.append(str(_home(setting)))
        delay = ["delay", str(self.delay)] if self.delay else []
        return [str(setting.programs / "actor"), *delay, *acts, *then]

    def before(self, setting: Setting) -> list[str | Path]:
        """Words to put before the launcher, in its namespace: the installation is a copy that belongs to this run."""
        copy = setting.folder / "installed"
        shutil.copytree(_home(setting), copy)
        return [*LIMITED, "sh", "-c", f'mount --bind {copy} {_home(setting)} && exec "$@"', "sh"]


DESCRIPTORS = tuple(f"take-descriptors {limit}" for limit in range(8))
MEMORY = ("take-memory AS", "take-memory DATA")
PACKAGE = ("delete", "cover", "replace")


def draw(setting: Setting, acts: Sequence[str]) -> Damage:
    """One of these acts, at once or a moment later."""
    chance = setting.chance
    return Damage(chance.choice(acts), chance.choice((0, chance.randint(1, LATEST))))


def _home(setting: Setting) -> Path:
    """The folder that has the launchers and the package, with the compiled file."""
    return setting.launcher.parents[1]
