"""When data arrives, by tables and by properties: no clock, no sockets."""

import math
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.emulator.shaper import PAYLOAD_BYTES, RatePace, Shape, TracePace, read_trace, wire_bytes
from partway.errors import InputError


@pytest.mark.parametrize(("payload", "wire"), [(0, 0), (1, 53), (1448, 1500), (1449, 1553), (14_480, 15_000)])
def test_packets_have_headers(payload, wire):
    assert wire_bytes(payload) == wire


def test_a_rate_sends_one_after_another_and_does_not_save_up():
    pace = RatePace(12_000_000)  # a packet takes 1 ms
    assert pace.depart(5.0, PAYLOAD_BYTES) == pytest.approx(5.001)
    assert pace.depart(5.0, PAYLOAD_BYTES) == pytest.approx(5.002)
    assert pace.depart(7.0, 2 * PAYLOAD_BYTES) == pytest.approx(7.002)


def test_a_trace_sends_at_its_opportunities_and_comes_round():
    pace = TracePace([0.001, 0.001, 0.005, 0.010])
    assert pace.depart(100.0, PAYLOAD_BYTES) == pytest.approx(100.001)
    assert pace.depart(100.0, 2 * PAYLOAD_BYTES) == pytest.approx(100.005)
    assert pace.depart(100.0, 2 * PAYLOAD_BYTES) == pytest.approx(100.011)


def test_opportunities_that_nobody_used_are_gone():
    pace = TracePace([0.001, 0.002, 0.010])
    pace.depart(0.0, 10)
    assert pace.depart(0.0, 10) == pytest.approx(0.0), "the rest of an opportunity is used"
    assert pace.depart(0.003, PAYLOAD_BYTES) == pytest.approx(0.010)


def test_a_real_trace_carries_what_it_says(data):
    """As many bytes as the trace has opportunities in ten seconds, within a packet or so."""
    for path in sorted((data / "traces").glob("*")):
        if path.suffix == ".md":
            continue
        times_ms = [int(line) for line in path.read_text().split()]
        pace, sent, now_s = read_trace(path), 0, 0.0
        while now_s < 10:
            now_s = pace.depart(now_s, PAYLOAD_BYTES)
            sent += 1
        within = sum(ms <= 10_000 for ms in times_ms)
        assert abs(sent - within) <= max(60, 0.02 * within), path.name


def test_delay_comes_after_the_rate_and_keeps_the_order():
    shape = Shape(RatePace(12_000_000), 0.02, jitter_s=0.01, random=random.Random(3))
    arrivals = [shape.arrive(0.0, PAYLOAD_BYTES) for _ in range(200)]
    assert arrivals == sorted(arrivals)
    assert 0.2 + 0.01 <= arrivals[-1] <= 0.2 + 0.03 + 1e-9


def test_each_lost_packet_costs_a_recovery():
    shape = Shape(None, 0.02, loss=0.1, recovery_s=0.04, random=random.Random(1))
    late = sum(shape.arrive(float(second), PAYLOAD_BYTES) > second + 0.03 for second in range(2000))
    assert 130 < late < 270


@given(
    st.floats(1e4, 1e9),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 100_000)), min_size=1, max_size=30),
    st.floats(0, 0.2),
)
def test_no_link_is_faster_than_its_rate(rate_bps, sends, delay_s):
    """Whatever is sent whenever: in order, never before the delay, never more than the rate carries."""
    shape, now_s, arrivals = Shape(RatePace(rate_bps), delay_s), 0.0, []
    for wait_s, size in sends:
        now_s += wait_s
        arrivals.append((now_s, shape.arrive(now_s, size)))
    assert all(a[1] <= b[1] for a, b in pairwise(arrivals))
    total_s = sum(wire_bytes(size) for _, size in sends) * 8 / rate_bps
    assert all(there >= sent + delay_s for sent, there in arrivals)
    assert arrivals[-1][1] >= arrivals[0][0] + total_s + delay_s - 1e-6 * (1 + total_s)


@pytest.mark.parametrize("text", ["", "x", "3\n2\n", "-1\n5\n", "0\n", "1.5\n", "\u00b2"])
def test_what_is_no_trace_is_refused_in_a_sentence(tmp_path: Path, text: str):
    (tmp_path / "t").write_text(text)
    with pytest.raises(InputError, match="trace"):
        read_trace(tmp_path / "t")


def test_a_trace_that_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path / "none")


@pytest.mark.parametrize(("rate_bps", "chunk"), [(1e6, 1448), (80e6, 10_000), (1e12, 65_536), (math.inf, 65_536)])
def test_fast_links_pass_more_on_at_once(rate_bps, chunk):
    assert Shape(RatePace(rate_bps)).chunk_bytes() == chunk
