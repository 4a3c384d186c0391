"""What the cloud did, counted from several threads."""

import threading

from partway.cloud.services.counters import Counters
from partway.proto.frame import Durations


def test_frames_and_their_seconds_are_summed_by_kind() -> None:
    """Each model, split and codec has its own sums, and a reader's copy does not change later."""
    counters = Counters()
    counters.answered(("m", 1, "raw"), Durations(0.1, 0.2, 0.3))
    ((_, before),) = counters.served()
    counters.answered(("m", 1, "raw"), Durations(0.1, 0.2, 0.3))
    counters.answered(("m", 2, "raw"), Durations())
    sums = dict(counters.served())
    assert (before.frames, sums["m", 1, "raw"].frames, sums["m", 2, "raw"].frames) == (1, 2, 1)
    assert (sums["m", 1, "raw"].queue_s, sums["m", 1, "raw"].suffix_s) == (0.2, 0.6)


def test_no_count_is_lost_between_threads() -> None:
    """Four threads that count at once."""
    counters = Counters()

    def work() -> None:
        for _ in range(500):
            counters.answered(("m", 0, "raw"), Durations())
            counters.refused("m", "UNAVAILABLE")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((_, served),) = counters.served()
    assert served.frames == 2000
    assert counters.refusals() == [(("m", "UNAVAILABLE"), 2000)]
