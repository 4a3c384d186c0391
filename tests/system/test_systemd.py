"""What systemd is told, on a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from partway.system.systemd import notify, watchdog_s


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def test_lines_arrive_as_one_message(listening: socket.socket) -> None:
    """READY and STATUS together."""
    assert notify("READY=1", "STATUS=answering frames")
    assert listening.recv(1000) == b"READY=1\nSTATUS=answering frames"


def test_an_abstract_address_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with @ lies in no folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        name = f"partway-test-{os.getpid()}"
        end.bind(f"\0{name}")
        end.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert notify("STOPPING=1")
        assert end.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket"])
def test_nobody_listens_and_nothing_is_raised(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is not lost because systemd is not there."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [("30000000", None, 30.0), ("30000000", "own", 30.0), ("30000000", "1", None), ("0", None, None)],
)
def test_the_watchdog_is_for_this_process(
    microseconds: str, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WATCHDOG_USEC in seconds, unless WATCHDOG_PID names another process."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_s() == seconds


def test_without_a_watchdog_there_is_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an unset variable nor one that is no number is one."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert watchdog_s() is None
