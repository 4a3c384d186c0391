"""Scores, constraints, and the choice worked out beforehand, against trying everything."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.partitioner.decide.candidates import candidate_name, plan_candidates, short_name
from partway.partitioner.decide.constraints import Constraints, admitted, device_bytes, excluded, parse_bytes
from partway.partitioner.decide.crossovers import Chooser, crossovers
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate
from partway.partitioner.decide.objectives import OBJECTIVES, objective, order
from partway.partitioner.decide.power import Power
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004))
LINK = Link(1e6, 0.05)
POWER = Power("test", compute_w=6.0, send_w=4.0, wait_w=2.0)


@pytest.fixture
def plan(fake_plan: Path) -> Plan:
    """x (256 bytes) -> a (64) -> b (32) -> y (16) in three stages."""
    return load_plan(fake_plan)


# --- scores


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency", 0.010 + 0.003 + 0.008 + 0.05 + 0.002 + 0.006),
        ("throughput", 0.010 + 0.003),
        ("bytes", 1000.0),
        ("energy", 0.013 * 6 + 0.008 * 4 + (0.05 + 0.008) * 2),
    ],
)
def test_each_objective_scores_what_it_says(name: str, expected: float) -> None:
    """Seconds, seconds of the slowest step, bytes both ways, joules."""
    made = estimate(Candidate(1, "raw", 900, 100, 0.003, 0.002), SPEEDS, LINK)
    assert objective(name, POWER).score(made, LINK.rtt_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("bandwidth_bps", "k", "slowest_s"), [(1e5, 1, 0.08), (1e9, 1, 0.010), (1e9, 0, 0.007), (1e9, 2, 0.030)]
)
def test_throughput_is_held_back_by_the_slowest_of_device_link_and_cloud(
    bandwidth_bps: float, k: int, slowest_s: float
) -> None:
    """The round trip delays every frame and holds none back."""
    link = Link(bandwidth_bps, 3.0)
    made = estimate(Candidate(k, "raw", 1000), SPEEDS, link)
    assert objective("throughput").score(made, link.rtt_s) == pytest.approx(slowest_s)


def test_latency_trusts_a_measurement_more_than_an_estimate() -> None:
    """Where trial frames were sent their time counts."""
    slow, other = (estimate(Candidate(k, "raw", 10), SPEEDS, LINK) for k in (0, 2))
    assert objective().best([slow, other]) is slow
    slow = replace(slow, measured_s=9.0)
    assert objective().best([slow, other]) is other


def test_equals_go_to_the_faster_and_then_to_the_one_that_sends_less() -> None:
    """Three candidates equal in throughput are told apart by latency, two equal there by bytes."""
    slow = Estimate(Candidate(1, "a", 5), prefix_s=0.1, encode_s=0.1, suffix_s=0.2)
    fast = Estimate(Candidate(2, "b", 9), suffix_s=0.2)
    small = Estimate(Candidate(2, "c", 5), suffix_s=0.2)
    assert objective("throughput").best([slow, fast, small]) is small
    assert objective("throughput").best([slow, fast]) is fast


def test_an_unknown_objective_is_refused() -> None:
    """The sentence lists the known ones."""
    with pytest.raises(InputError, match="bytes, energy, latency, throughput"):
        objective("cost")


@pytest.mark.parametrize(
    ("name", "score", "shown"),
    [
        ("latency", 0.0123, "12.3 ms"),
        ("throughput", 0.02, "50 frames/s"),
        ("throughput", 0.0, "endless frames/s"),
        ("bytes", 1500.0, "1.50 KB"),
        ("energy", 0.0893, "89.3 mJ"),
        ("energy", 2.0, "2 J"),
    ],
)
def test_scores_are_shown_in_their_unit(name: str, score: float, shown: str) -> None:
    """People see frames a second, not seconds a frame, where throughput is meant."""
    assert objective(name).show(score) == shown


# --- constraints


def test_memory_counts_the_prefix_and_the_most_that_is_alive_at_once(plan: Plan) -> None:
    """Stage files of the prefix only, and the values before and after the stage that needs most."""
    files = [stage.size_bytes for stage in plan.stages]
    assert device_bytes(plan, 0) == 256
    assert device_bytes(plan, 1) == files[0] + 256 + 64
    assert device_bytes(plan, 3) == sum(files) + 256 + 64


def test_a_value_that_stays_on_the_device_rules_out_every_candidate_that_sends_it(plan: Plan) -> None:
    """Whatever the codec, pixels and pictures of the input too; what sends nothing is never ruled out."""
    candidates = [
        Candidate(0, "raw"),
        Candidate(0, "jpeg75"),
        Candidate(1, "raw"),
        Candidate(2, "fp16"),
        Candidate(3, None),
    ]
    for word in ("input", "x"):
        assert [c.k for c in admitted(candidates, Constraints(keep_on_device=(word,)), plan)] == [1, 2, 3]
    assert [c.k for c in admitted(candidates, Constraints(keep_on_device=("a", "b")), plan)] == [0, 0, 3]


def test_what_is_answered_on_the_device_sends_nothing(plan: Plan) -> None:
    """Even a model's output may be kept: all on the device hands it to nobody."""
    alone = Candidate(3, None)
    assert admitted([alone], Constraints(keep_on_device=("x", "a", "b", "y")), plan) == [alone]


def test_an_input_that_also_crosses_later_stays_as_well(plan: Plan) -> None:
    """A long skip connection from the input does not smuggle it out at a later cut."""
    cuts = (plan.cuts[0], Cut(("a", "x")), *plan.cuts[2:])
    left = admitted(
        [Candidate(1, "raw"), Candidate(2, "raw")], Constraints(keep_on_device=("input",)), replace(plan, cuts=cuts)
    )
    assert [c.k for c in left] == [2]


def test_a_misspelt_value_is_refused_rather_than_sent(plan: Plan) -> None:
    """Nobody's input may leave because of a typing error."""
    with pytest.raises(InputError, match="did you mean input"):
        admitted([Candidate(0, "raw")], Constraints(keep_on_device=("inptu",)), plan)


def test_each_excluded_candidate_is_told_why(plan: Plan) -> None:
    """The first constraint that a candidate breaks is named as the command line writes it."""
    lossy = Candidate(1, "q8", lossless=False, agreement=0.95)
    limits = Constraints(device_bytes(plan, 1), ("input",), 1.0)
    assert excluded([Candidate(0, "raw"), lossy, Candidate(1, "raw"), Candidate(3, None)], limits, plan) == {
        Candidate(0, "raw"): "--keep-on-device input",
        lossy: "--max-drop 1",
        Candidate(3, None): f"--max-device-memory {device_bytes(plan, 1)} B",
    }


def test_an_impossible_set_of_constraints_says_which_excludes_what(plan: Plan) -> None:
    """Codecs are named only where not all of a split's are meant."""
    lossy = Candidate(1, "q8", lossless=False, agreement=0.5)
    candidates = [Candidate(0, "raw"), Candidate(0, "u8"), lossy, Candidate(1, "raw"), Candidate(3, None)]
    limits = Constraints(10, ("input",), 1.0)
    with pytest.raises(InputError) as caught:
        admitted(candidates, limits, plan)
    assert str(caught.value) == (
        "no candidate is left: --keep-on-device input excludes all in the cloud; --max-drop 1 excludes split 1 with q8;"
        " --max-device-memory 10 B excludes split 1 with raw, all on the device; relax one of them"
    )


@pytest.mark.parametrize(("text", "size"), [("64MB", 64e6), ("1.5 GiB", 1.5 * 2**30), ("10kb", 1e4), ("7 B", 7)])
def test_sizes_are_read_with_their_unit(text: str, size: float) -> None:
    """Thousands and powers of two are kept apart."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["64", "0MB", "-1MB", "MB", "64 Mbps", "1e9MB", ""])
def test_a_size_without_a_unit_is_refused(text: str) -> None:
    """Nobody should guess whether 64 is bytes or megabytes."""
    with pytest.raises(InputError, match="for example 64MB"):
        parse_bytes(text)


# --- the plan's candidates


def test_what_was_measured_of_a_codec_becomes_a_candidate(plan: Plan) -> None:
    """Bytes and times are the recorded ones, and what the plan says nothing of comes from the tensors' sizes."""
    entry = {
        "k": 1,
        "codec": "q8",
        "bytes_mean": 17.6,
        "encode_s": 1e-3,
        "decode_s": 2e-3,
        "agreement": 0.99,
        "frames": 8,
    }
    made = plan_candidates(replace(plan, candidates=(entry,)))
    assert [(c.k, c.codec) for c in made] == [(0, "raw"), (0, "fp16"), (1, "q8"), (2, "raw"), (2, "fp16"), (3, None)]
    q8 = made[2]
    assert (q8.size_bytes, q8.encode_s, q8.decode_s, q8.agreement, q8.lossless) == (178, 1e-3, 2e-3, 0.99, False)
    assert [c.size_bytes for c in made[:2]] == [256 + 160, 128 + 41 + 160]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"k": 1},
        {"k": 9, "codec": "raw", "bytes_mean": 1, "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": -1, "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": 1, "encode_s": float("nan"), "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": "much", "encode_s": 0, "decode_s": 0},
        {"k": 1, "codec": "raw", "bytes_mean": 1, "encode_s": 0, "decode_s": 0, "agreement": []},
    ],
)
def test_a_damaged_candidate_is_refused(plan: Plan, entry: dict[str, object]) -> None:
    """A plan edited by hand is an input error, never a traceback."""
    with pytest.raises(InputError, match="partway plan"):
        plan_candidates(replace(plan, candidates=(entry,)))


@pytest.mark.parametrize(
    ("candidate", "long", "short"),
    [
        (Candidate(0, "webp75"), "all in the cloud (webp75)", "cloud, webp75"),
        (Candidate(2, "fp16"), "split 2 at b (fp16)", "split 2, fp16"),
        (Candidate(3, None), "all on the device", "device"),
    ],
)
def test_candidates_have_names(plan: Plan, candidate: Candidate, long: str, short: str) -> None:
    """In full for sentences, in short for charts."""
    assert (candidate_name(candidate, plan), short_name(candidate)) == (long, short)


# --- the choice worked out beforehand


def seconds() -> st.SearchStrategy[float]:
    """Times from a microsecond to a second, with equals among them."""
    return st.sampled_from([0.0, 0.001, 0.01]) | st.floats(1e-6, 1.0)


@st.composite
def made_up(draw: st.DrawFn) -> list[Estimate]:
    """Up to a dozen candidates of a model with four stages, all on the device often among them."""
    speeds = Speeds(*(tuple(draw(seconds()) for _ in range(4)) for _ in range(2)), queue_s=draw(seconds()))
    count = draw(st.integers(1, 12))
    found = [
        Candidate(
            draw(st.integers(0, 3)),
            f"c{i}",
            draw(st.integers(1, 3)) * 10 ** draw(st.integers(1, 5)),
            100,
            draw(seconds()),
            draw(seconds()),
        )
        for i in range(count)
    ]
    if draw(st.booleans()):
        found.append(Candidate(4, None))
    return [estimate(candidate, speeds, Link(1e6, 0.0)) for candidate in found]


def on(link: Link, estimates: list[Estimate]) -> list[Estimate]:
    """The same candidates estimated on another link."""
    return [
        replace(
            e, link_s=link.transfer_s(e.candidate.size_bytes + e.candidate.reply_bytes) if e.candidate.codec else 0.0
        )
        for e in estimates
    ]


links = st.builds(Link, st.floats(3, 11).map(lambda x: 10**x), st.sampled_from([0.0, 0.04]) | st.floats(1e-5, 1.0))
names = st.sampled_from(OBJECTIVES.own_names())


def assert_best(candidate: Candidate, estimates: list[Estimate], name: str, link: Link) -> None:
    """Nothing beats the candidate by more than rounding, neither in score nor, of equals, in seconds."""
    wanted = objective(name, POWER)
    here = on(link, estimates)
    mine = order(next(e for e in here if e.candidate == candidate), wanted, link.rtt_s)
    best = min(order(e, wanted, link.rtt_s) for e in here)
    assert mine[0] == pytest.approx(best[0], rel=1e-9, abs=1e-15)
    equals = [order(e, wanted, link.rtt_s) for e in here if order(e, wanted, link.rtt_s)[0] == mine[0]]
    assert mine[1] == pytest.approx(min(equal[1] for equal in equals), rel=1e-9, abs=1e-15)


@settings(max_examples=400, deadline=None)
@given(made_up(), names, links)
def test_the_chooser_is_as_good_as_trying_every_candidate(estimates: list[Estimate], name: str, link: Link) -> None:
    """On any link, for every objective."""
    assert_best(Chooser(estimates, objective(name, POWER))(link), estimates, name, link)


@settings(max_examples=100, deadline=None)
@given(made_up(), names, st.sampled_from([0.0, 1e-3, 0.04]))
def test_crossovers_say_what_dense_sampling_finds(estimates: list[Estimate], name: str, rtt_s: float) -> None:
    """Ranges follow one another from nothing to endless, each winner differs from the last, and no sample disagrees."""
    wins = crossovers(estimates, objective(name, POWER), rtt_s)
    assert wins[0].from_bps == 0
    assert math.isinf(wins[-1].to_bps)
    for before, after in pairwise(wins):
        assert before.from_bps < before.to_bps == after.from_bps
        assert before.candidate != after.candidate
    for step in range(81):
        bandwidth_bps = 10 ** (3 + step / 10)
        win = next(win for win in wins if win.from_bps <= bandwidth_bps < win.to_bps)
        assert_best(win.candidate, estimates, name, Link(bandwidth_bps, rtt_s))


@settings(max_examples=100, deadline=None)
@given(made_up(), names)
def test_at_a_crossover_both_sides_are_equally_good(estimates: list[Estimate], name: str) -> None:
    """The borders are the very bandwidths at which two scores (or, of equal scores, two latencies) meet."""
    wins = crossovers(estimates, objective(name, POWER), 0.04)
    for before, after in pairwise(wins):
        for win in (before, after):
            wanted = objective(name, POWER)
            here = {e.candidate: wanted.score(e, 0.04) for e in on(Link(before.to_bps, 0.04), estimates)}
            assert here[win.candidate] == pytest.approx(min(here.values()), rel=1e-6, abs=1e-12)


def test_crossovers_of_two_lines_are_where_they_meet() -> None:
    """8000 more bits against 10 ms more on the device: equal at 800 kbps."""
    heavy = Estimate(Candidate(0, "raw", 1500), suffix_s=0.02)
    light = Estimate(Candidate(1, "raw", 500), prefix_s=0.01, suffix_s=0.02)
    slow, fast = crossovers([heavy, light], objective(), 0.04)
    assert (slow.candidate, fast.candidate) == (light.candidate, heavy.candidate)
    assert slow.to_bps == fast.from_bps == pytest.approx(8e5)
    assert crossovers([], objective(), 0.04) == []


def test_candidates_held_back_alike_change_places_where_their_latencies_meet() -> None:
    """Both answer as often as the cloud can, one second a frame: above 800 kbps the one with less work is sooner."""
    heavy = Estimate(Candidate(0, "raw", 1500), suffix_s=1.0)
    light = Estimate(Candidate(1, "raw", 500), prefix_s=0.01, suffix_s=1.0)
    wins = crossovers([heavy, light], objective("throughput"), 0.04)
    assert [win.candidate for win in wins] == [light.candidate, heavy.candidate]
    assert wins[0].to_bps == pytest.approx(8e5)


def test_without_a_link_the_device_answers_alone() -> None:
    """And when even that is excluded, a sentence says so."""
    candidates = [Candidate(0, "raw", 100), Candidate(3, None)]
    estimates = [estimate(candidate, SPEEDS, LINK) for candidate in candidates]
    chooser = Chooser(estimates, objective())
    assert chooser(None) == chooser(Link(0.0, 0.1)) == Candidate(3, None)
    assert chooser(Link(1e9, 0.0)) == candidates[0]
    small = Chooser(estimates[:1], objective("bytes"))
    assert small(Link(1e3, 1.0)) == candidates[0]
    with pytest.raises(InputError, match="without a link"):
        small(None)


@pytest.mark.parametrize(
    ("name", "unit", "noise_floor"),
    [("latency", "a frame", 5e-4), ("throughput", "", 5e-4), ("bytes", "a frame", 0.0), ("energy", "a frame", 0.0)],
)
def test_each_objective_has_a_unit_and_a_noise_floor_of_its_own(name: str, unit: str, noise_floor: float) -> None:
    """Timing is noisy, bytes are counted; nobody has to know objectives by their names."""
    made = objective(name, POWER)
    assert (made.unit, made.noise_floor) == (unit, noise_floor)
    assert made.is_latency is (name == "latency") and made.is_timed is (name != "bytes")
    assert bool(made.notes) is (name == "energy")


def test_a_factory_that_makes_no_objective_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the objective instead of a traceback from within the choice."""
    monkeypatch.setitem(OBJECTIVES._loaded, "odd", lambda _power: 7)
    with pytest.raises(InputError, match="'odd' gives a int"):
        objective("odd")
