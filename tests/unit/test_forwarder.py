"""A signal that came in is delivered, whatever happens before."""

import os
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from pyinit import forwarder
from pyinit.account import Account
from pyinit.kernel import reserves
from pyinit.reporting.log import Log


def test_a_signal_is_delivered_although_memory_runs_out_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has been taken from the kernel: nobody would send it again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        signal.raise_signal(signal.SIGTERM)  # to this thread, which blocks it
        info = signal.sigwaitinfo([signal.SIGTERM])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    released: list[bool] = []
    look_up = forwarder.look_up

    def fail_once(info: signal.struct_siginfo) -> Any:
        if not released:
            raise MemoryError
        return look_up(info)

    monkeypatch.setattr(forwarder, "look_up", fail_once)
    monkeypatch.setattr(reserves, "release_memory", lambda: released.append(True))
    with subprocess.Popen(["sleep", "1000"]) as child:
        workload: Any = SimpleNamespace(pid=child.pid, leads_session=False)
        settings: Any = SimpleNamespace(rewrite={}, forward_to="child", persona=SimpleNamespace(suspends=False))
        shutdown: Any = SimpleNamespace(stop=lambda: None)
        account = Account(child.pid, "sleep", 0.0, False, {})
        forwarder.Forwarder(workload, settings, account, shutdown, Log(0, False)).forward(info)
        assert child.wait(20) == -signal.SIGTERM
    assert account.forwards == 1 and account.first_stop is not None and account.first_stop.pid == os.getpid()
