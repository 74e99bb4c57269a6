"""The memory cgroup, in all ways that engines mount it."""

import pytest

from pyinit.kernel import cgroup, procfs

CONTAINER_V2 = {
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": "1 0 0:5 / / rw - overlay overlay rw\n"
    "32 31 0:29 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n",
}
MACHINE_V2 = {
    "/proc/self/cgroup": "0::/system.slice/app.service\n",
    "/proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n",
}
HOST_NAMESPACE_V2 = {
    "/proc/self/cgroup": "0::/docker/abc\n",
    "/proc/self/mountinfo": "32 31 0:29 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
}
CONTAINER_V1 = {
    "/proc/self/cgroup": "5:devices:/docker/abc\n4:cpu,memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n",
    "/proc/self/mountinfo": "40 31 0:32 /docker/abc /sys/fs/cgroup/devices ro - cgroup cgroup rw,devices\n"
    "41 31 0:33 /docker/abc /sys/fs/cgroup/memory ro master:11 - cgroup cgroup rw,cpu,memory\n"
    "42 31 0:38 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n",
}
MACHINE_V1 = {
    "/proc/self/cgroup": "4:memory:/user/1\n",
    "/proc/self/mountinfo": "41 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
}
SIBLING_V2 = {
    "/proc/self/cgroup": "0::/../other\n",
    "/proc/self/mountinfo": "32 31 0:29 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
}


class Files:
    """A dictionary in place of the files of /proc and /sys."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
        self.files = dict(files)
        monkeypatch.setattr(procfs, "read", self.read)

    def read(self, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (CONTAINER_V2, "/sys/fs/cgroup"),
        (MACHINE_V2, "/sys/fs/cgroup/system.slice/app.service"),
        (HOST_NAMESPACE_V2, "/sys/fs/cgroup"),
        (SIBLING_V2, "/sys/fs/cgroup"),
    ],
)
def test_version_2(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], folder: str) -> None:
    """Kills since the start, limit and peak; ``max`` is no limit."""
    fake = Files(monkeypatch, files)
    fake.files[f"{folder}/memory.events"] = "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"
    fake.files[f"{folder}/memory.max"] = "max\n"
    memory = cgroup.Memory()
    assert (memory.kills(), memory.limit(), memory.peak()) == (0, None, None)
    fake.files[f"{folder}/memory.events"] = "max 9\noom 5\noom_kill 5\n"
    fake.files[f"{folder}/memory.max"] = "67108864\n"
    fake.files[f"{folder}/memory.peak"] = "67100000\n"
    assert (memory.kills(), memory.limit(), memory.peak()) == (2, 64 << 20, 67100000)


@pytest.mark.parametrize(
    ("files", "folder"),
    [(CONTAINER_V1, "/sys/fs/cgroup/memory"), (MACHINE_V1, "/sys/fs/cgroup/memory/user/1")],
)
def test_version_1(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], folder: str) -> None:
    """The highest possible number of pages means that there is no limit."""
    fake = Files(monkeypatch, files)
    fake.files[f"{folder}/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"
    fake.files[f"{folder}/memory.limit_in_bytes"] = "9223372036854771712\n"
    fake.files[f"{folder}/memory.max_usage_in_bytes"] = "67108864\n"
    memory = cgroup.Memory()
    assert (memory.kills(), memory.limit(), memory.peak()) == (0, None, 64 << 20)
    fake.files[f"{folder}/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 1\noom_kill 2\n"
    fake.files[f"{folder}/memory.limit_in_bytes"] = "67108864\n"
    assert (memory.kills(), memory.limit()) == (1, 64 << 20)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/proc/self/cgroup": "0::/\n"},
        {"/proc/self/cgroup": "nonsense", "/proc/self/mountinfo": "1 2 3\n - \nx - cgroup2\n"},
        CONTAINER_V2,
        {**CONTAINER_V2, "/sys/fs/cgroup/memory.events": "oom_kill many\n", "/sys/fs/cgroup/memory.max": "\n"},
    ],
)
def test_unreadable_values_are_none(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    """Without /proc, a mount or a controller, or with unexpected content."""
    Files(monkeypatch, files)
    memory = cgroup.Memory()
    assert (memory.kills(), memory.limit(), memory.peak()) == (None, None, None)


@pytest.mark.parametrize(("content", "expected"), [("0\n", False), ("1\n", True), ("", None), (None, None)])
@pytest.mark.parametrize("pid", [None, 7])
def test_whether_the_kernel_kills_all_processes_at_once(
    monkeypatch: pytest.MonkeyPatch, content: str | None, expected: bool | None, pid: int | None
) -> None:
    """In our cgroup or in that of another process, with the files where that process has mounted them."""
    process, root = ("/proc/7", "/proc/7/root") if pid else ("/proc/self", "")
    fake = Files(monkeypatch, {path.replace("/proc/self", process): text for path, text in MACHINE_V2.items()})
    if content is not None:
        fake.files[f"{root}/sys/fs/cgroup/system.slice/app.service/memory.oom.group"] = content
    assert cgroup.Memory(pid).kills_all() is expected


def test_version_1_cannot_kill_all_processes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 has no such setting."""
    Files(monkeypatch, CONTAINER_V1)
    assert cgroup.Memory().kills_all() is None
