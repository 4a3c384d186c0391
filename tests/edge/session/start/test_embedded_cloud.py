"""A cloud on this machine that ends with us."""

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from partway.edge.session.start import embedded_cloud as embedded
from partway.edge.session.start.embedded_cloud import EmbeddedCloud
from partway.edge.transport.client import CloudClient
from partway.errors import PartwayError
from partway.partitioner.zoo import model_folder


def test_an_embedded_cloud_serves_and_is_gone_afterwards() -> None:
    """It serves the model given on a free loopback port, and when the block ends the process has ended."""
    with EmbeddedCloud(model_folder("mnist"), threads=1) as cloud:
        address, pid = cloud.address(), cloud.pid
        assert address.startswith("127.0.0.1:")
        with CloudClient(address) as client:
            assert client.describe("mnist").models == ("mnist",)
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_cloud_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its own last words are the error."""
    with EmbeddedCloud(tmp_path) as cloud, pytest.raises(PartwayError, match=r"no plan in"):
        cloud.address()


def test_a_cloud_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while silence counts as failure."""
    monkeypatch.setattr(embedded, "START_S", 0.0)
    monkeypatch.setattr(sys, "executable", "/bin/cat")
    with EmbeddedCloud(None) as cloud, pytest.raises(PartwayError, match="did not start: "):
        cloud.address()


def test_a_cloud_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs is waited for a little, then killed."""
    monkeypatch.setattr(embedded, "STOP_S", 0.01)
    cloud = EmbeddedCloud(model_folder("mnist"), threads=1)
    cloud.address()
    os.kill(cloud.pid, signal.SIGSTOP)
    descriptor = os.pidfd_open(cloud.pid)
    cloud.close()
    assert select.select([descriptor], [], [], 0)[0]
    os.close(descriptor)


def test_closing_twice_is_fine() -> None:
    """A cloud that was closed early is closed again at the end."""
    cloud = EmbeddedCloud(model_folder("mnist"))
    cloud.close()
    cloud.close()
