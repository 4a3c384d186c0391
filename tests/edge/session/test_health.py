"""The one rule of whether an edge-run is alive."""

from partway.edge.session.health import STALLED_S, Liveness


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
