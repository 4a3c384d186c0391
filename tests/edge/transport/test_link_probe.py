"""The link as probes show it, on links that take what their figures say."""

from collections.abc import Callable

import pytest

from partway.edge.transport.link_probe import probe_link


@pytest.fixture
def fake_probe(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], Callable[[int], float]]:
    """Links that take exactly as long as their figures say, on a clock of their own."""
    now_s = [0.0]
    monkeypatch.setattr("partway.edge.transport.link_probe.perf_counter", lambda: now_s[0])

    def link(bandwidth_bps: float, rtt_s: float) -> Callable[[int], float]:
        def probe(size: int) -> float:
            took_s = size * 8 / bandwidth_bps + rtt_s
            now_s[0] += took_s
            return took_s

        return probe

    return link


@pytest.mark.parametrize("bandwidth_bps", [1e6, 20e6, 300e6, 1e9])
@pytest.mark.parametrize("rtt_s", [0.002, 0.02, 0.1, 0.3])
def test_a_known_link_is_recovered(
    bandwidth_bps: float, rtt_s: float, fake_probe: Callable[[float, float], Callable[[int], float]]
) -> None:
    """Bandwidth and round trip of a link come out within a tenth, or the bandwidth as too fast to matter."""
    link = probe_link(fake_probe(bandwidth_bps, rtt_s))
    assert link.rtt_s == pytest.approx(rtt_s, rel=0.1)
    largest_s = (1 << 20) * 8 / bandwidth_bps
    if largest_s > 0.1 * rtt_s:
        assert link.bandwidth_bps == pytest.approx(bandwidth_bps, rel=0.1)
    else:
        assert link.transfer_s(1 << 20) == pytest.approx(rtt_s, rel=0.1)


def test_one_slow_probe_does_not_spoil_the_round_trip() -> None:
    """The round trip is a median: hiccups in the first probes are left out."""
    hiccups = iter([0.5, 0.001, 0.5, 0.001, 0.5, *[0.001] * 4])

    def probe(size: int) -> float:
        return next(hiccups) if size < 1000 else 0.001 + size * 8 / 1e8

    assert probe_link(probe).rtt_s == pytest.approx(0.001)


def test_a_slow_link_is_not_probed_with_megabytes() -> None:
    """Probing stops once a probe took long enough to tell."""
    sizes = []

    def probe(size: int) -> float:
        sizes.append(size)
        return 0.01 + size * 8 / 1e6

    probe_link(probe)
    assert max(sizes) <= 16 << 10


def test_noise_never_makes_a_bandwidth_of_nothing() -> None:
    """Large probes that come back faster than small ones still give a finite, positive bandwidth."""
    link = probe_link(lambda size: 0.01 if size < 1000 else 0.001)
    assert 0 < link.bandwidth_bps < float("inf")
