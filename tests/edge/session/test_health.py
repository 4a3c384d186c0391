"""The one rule of whether an edge-run is alive."""

import errno
import os
import socket
import threading

import pytest

from partway.edge.session.health import STALLED_S, Liveness, ask_health


class Clock:
    """Stands still until it is told."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_source_may_be_silent_for_ever() -> None:
    """Without a frame that waits for its answer, no time is too long: before the first one, and between two."""
    clock = Clock()
    liveness = Liveness(clock)
    clock.now_s += 10 * STALLED_S
    assert liveness.alive
    liveness.frame_read()
    assert liveness.alive, "the frame was read just now"
    liveness.frame_done()
    clock.now_s += 10 * STALLED_S
    assert liveness.state() == {"well": True, "frames": 1, "quiet_s": 600.0}


def test_a_frame_that_is_not_answered_for_a_minute_means_a_hang() -> None:
    """Counted from the last answer, however many frames are read meanwhile; an answer ends it."""
    clock = Clock()
    liveness = Liveness(clock)
    liveness.frame_read()
    clock.now_s += STALLED_S - 1
    liveness.frame_read()
    assert liveness.alive
    clock.now_s += 1
    assert not liveness.alive
    liveness.frame_done()
    assert liveness.alive


def test_health_is_told_again_after_an_accept_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Want of file descriptors must not leave a healthy container without an answer."""
    monkeypatch.setenv("PARTWAY_HEALTH", "1")
    monkeypatch.setattr("partway.edge.session.health.health_name", lambda half: f"partway-test-{half}-{os.getpid()}")
    monkeypatch.setattr("partway.system.connections.RETRY_S", 0.001)
    accept, failures = socket.socket.accept, [errno.EMFILE]

    def failing(self: socket.socket) -> tuple[socket.socket, object]:
        if failures and threading.current_thread().name == "health":
            raise OSError(failures.pop(), "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with Liveness():
        well, sentence = ask_health()
        assert well and sentence.startswith("0 frames answered")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Too many open files" in caplog.text
    assert not ask_health()[0]
