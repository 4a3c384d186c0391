"""What edge-run makes small: the choice of `partway explain` on the same figures, and measured parts where they are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.affine import affine_chain, runner_on, samples

from partway.edge.decision.constraints import admitted_candidates
from partway.edge.decision.decision import make_decision
from partway.edge.decision.ranking import Ranking, measured
from partway.edge.decision.trial import decide, try_candidate
from partway.edge.decision.trial_frames import TrialFrames
from partway.edge.pipeline.result import FrameResult
from partway.edge.transport.fake import FakeCloud
from partway.partitioner.decide.candidates import candidate_name, plan_candidates
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds
from partway.partitioner.decide.objectives import OBJECTIVES, objective
from partway.partitioner.decide.power import POWERS
from partway.partitioner.explain.explanation import Machine, explain
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto.frame import Durations, Reply, encode_reply

MNIST = load_plan(model_folder("mnist"))
PLAN = affine_chain().plan
LINK = Link(1e6, 0.01)

stages_s = st.lists(st.floats(1e-6, 1.0), min_size=3, max_size=3).map(tuple)
limits = st.sampled_from(
    [
        Constraints(max_drop=1.0),
        Constraints(),
        Constraints(keep_on_device=("input",)),
        Constraints(keep_on_device=("input", "relu3")),
        Constraints(max_device_bytes=50_000),
        Constraints(50_000, ("input",)),
    ]
)


@given(st.sampled_from(OBJECTIVES.own_names()), stages_s, stages_s, st.floats(1e4, 1e10), st.floats(1e-6, 0.5), limits)
def test_edge_run_and_explain_choose_alike(
    name: str,
    device_s: tuple[float, ...],
    cloud_s: tuple[float, ...],
    bandwidth_bps: float,
    rtt_s: float,
    constraints: Constraints,
) -> None:
    """On the same plan, link and speeds both take the same candidate, with the same score, for every objective."""
    wanted, link = objective(name, POWERS["pi5"]), Link(bandwidth_bps, rtt_s)
    told = explain_quickly(name, device_s, cloud_s, link, constraints)
    ranking = Ranking(wanted, rtt_s)
    candidates = admitted_candidates(plan_candidates(MNIST), MNIST, constraints, link)
    estimates = decide(candidates, Speeds(device_s, cloud_s), link, None, ranking)
    decision = make_decision(estimates, estimates, MNIST, link, False, ranking)
    assert (decision.chosen.candidate, ranking.score(decision.chosen)) == told
    if decision.runner_up is not None:
        assert ranking.score(decision.runner_up) >= ranking.score(decision.chosen)


def explain_quickly(
    name: str, device_s: tuple[float, ...], cloud_s: tuple[float, ...], link: Link, constraints: Constraints
) -> tuple[Candidate, float]:
    """What explain chooses and its score, without the picture of all links that it draws besides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("partway.partitioner.explain.explanation.GRID", (3, 3))
        device, cloud = Machine("device", device_s), Machine("cloud", cloud_s)
        made = explain(MNIST, device, cloud, link, objective(name, POWERS["pi5"]), constraints)
    return made.chosen.candidate, made.chosen.score


CANDIDATES = [
    Candidate(0, "raw", 4000, 100),
    Candidate(1, "raw", 9000, 100),
    Candidate(2, "fp16", 5000, 100),
    Candidate(3, None),
]
SPEEDS = Speeds((0.1, 0.1, 0.1), (0.01, 0.01, 0.01))


def test_without_trials_each_objective_has_its_winner() -> None:
    """The same candidates, four different bests: by hand from the formulas."""
    constraints = Constraints(keep_on_device=("x",))
    winners = {}
    for name in OBJECTIVES.own_names():
        ranking = Ranking(objective(name), LINK.rtt_s)
        for limit in (Constraints(), constraints):
            found = decide(admitted_candidates(CANDIDATES, PLAN, limit, LINK), SPEEDS, LINK, None, ranking)
            winners[name, limit.keep_on_device] = ranking.best(found).candidate.k
    assert winners == {
        ("latency", ()): 0,  # 33 + 10 + 30 ms; the split at 1 takes 100 + 73 + 10 + 20, the device 300
        ("latency", ("x",)): 1,
        ("throughput", ()): 0,  # 33 ms; the split at 1 is as fast as its prefix, 100 ms
        ("throughput", ("x",)): 1,
        ("bytes", ()): 3,
        ("bytes", ("x",)): 3,
        ("energy", ()): 0,
        ("energy", ("x",)): 1,
    }


def _measures(candidate: Candidate, **parts: float) -> Estimate:
    return Estimate(candidate, **parts, measured_s=sum(parts.values()))


@pytest.mark.parametrize(
    ("name", "parts", "score"),
    [
        ("latency", {"prefix_s": 0.1, "link_s": 0.5, "suffix_s": 0.2}, 0.8),
        ("throughput", {"prefix_s": 0.1, "link_s": 0.51, "suffix_s": 0.2, "queue_s": 9.0}, 0.5),
        ("throughput", {"prefix_s": 0.4, "encode_s": 0.3, "link_s": 0.51}, 0.7),
        ("throughput", {"link_s": 0.51, "suffix_s": 0.4, "decode_s": 0.2}, 0.6),
        ("energy", {"prefix_s": 1.0, "encode_s": 1.0, "link_s": 0.51}, 2 * 6.4 + 0.5 * 3.9 + 0.01 * 2.7),
        ("energy", {"link_s": 0.01, "queue_s": 1.0, "suffix_s": 2.0}, 3.01 * 2.7),
    ],
)
def test_the_score_of_what_was_tried_is_made_of_measured_parts(
    name: str, parts: dict[str, float], score: float
) -> None:
    """Whatever was estimated: once trial frames went through a candidate, the objective takes their parts."""
    ranking = Ranking(objective(name), LINK.rtt_s)
    tried = decide(CANDIDATES[:1], SPEEDS, LINK, lambda candidate: _measures(candidate, **parts), ranking)
    assert ranking.score(tried[0]) == pytest.approx(score)
    assert (tried[0].link_s, tried[0].prefix_s) == (pytest.approx(0.0428), 0.0), "the estimate is still there to see"


def test_bytes_are_those_that_really_crossed() -> None:
    """A candidate that turned out to send more than was thought loses to one that does not."""
    ranking = Ranking(objective("bytes"), LINK.rtt_s)

    def trial(candidate: Candidate) -> Estimate:
        real = 7000 if candidate.k == 0 else candidate.size_bytes
        return Estimate(replace(candidate, size_bytes=real), link_s=0.1, measured_s=0.1)

    tried = decide([CANDIDATES[0], CANDIDATES[2]], SPEEDS, LINK, trial, ranking)
    best = ranking.best(tried)
    assert (best.candidate, ranking.score(best), ranking.show(best)) == (CANDIDATES[2], 5100, "5.10 KB")


@pytest.mark.parametrize("name", OBJECTIVES.own_names())
def test_an_estimate_never_beats_a_measurement_untried(name: str) -> None:
    """By every objective what is chosen has been tried, where trying more than was estimated changes the order."""
    ranking = Ranking(objective(name), LINK.rtt_s)

    def trial(candidate: Candidate) -> Estimate:
        worse = replace(candidate, size_bytes=99_999 - candidate.k, reply_bytes=0)
        return Estimate(worse, prefix_s=9.0 - candidate.k, link_s=9.0, measured_s=18.0 - candidate.k)

    tried = decide(CANDIDATES[:3], SPEEDS, LINK, trial, ranking)
    assert ranking.best(tried).measured is not None
    assert ranking.best(tried).candidate.k == 2


def _result(by: str, **change: float) -> FrameResult:
    parts = dict.fromkeys(("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s"), 0.0)
    known = {"id": 0, "name": "", "cut": 1, "codec": "raw", "bytes_sent": 100, "bytes_received": 50} | parts
    return FrameResult(**{**known, **change}, answered_by=by, outputs={"y": np.zeros(1)})  # type: ignore[arg-type]


def test_what_trial_frames_took_are_medians_of_frames_the_cloud_answered() -> None:
    """A frame that was refused and finished here says nothing of the suffix in the cloud, nor of the bytes back."""
    results = [_result("cloud", suffix_s=s, total_s=s, bytes_received=50 + s) for s in (1, 9, 2)]
    results.append(_result("device", suffix_s=70, total_s=70, bytes_received=0))
    made = measured(Candidate(1, "raw", 99, 44), results)
    assert (made.suffix_s, made.candidate.size_bytes, made.candidate.reply_bytes) == (2, 100, 52)
    assert made.measured_s == 5.5, "the time that frames took counts all of them, as it always did"
    alone = measured(Candidate(3, None), [_result("device", prefix_s=3, total_s=3, bytes_sent=0, bytes_received=0)])
    assert (alone.prefix_s, alone.measured_s, alone.candidate) == (3, 3, Candidate(3, None))


def test_trial_frames_bring_their_parts_and_bytes() -> None:
    """Through a runner: the cloud's own durations, the prefix, and the sizes of the messages."""

    def timed(cloud: FakeCloud) -> None:
        cloud.deliver(encode_reply(Reply(cloud.answer_to(cloud.waiting.pop(0)), Durations(0.5, 0.25, 0.125))))

    runner = runner_on(FakeCloud(affine_chain(), timed))
    made = try_candidate(TrialFrames(runner, samples(1)[0]), Candidate(1, "raw", 1, 1))
    assert made is not None
    assert (made.queue_s, made.decode_s, made.suffix_s) == (0.5, 0.25, 0.125)
    assert made.prefix_s > 0
    assert made.candidate.size_bytes > 6 * 4
    assert made.candidate.reply_bytes > 2 * 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("latency", "split 1 at a (raw): 203 ms against 300 ms all on the device"),
        ("throughput", "by throughput, split 1 at a (raw): 10 frames/s against 3.33 frames/s all on the device"),
        ("energy", "by energy, split 1 at a (raw): 1 J a frame against 1.92 J all on the device"),
        ("bytes", "by bytes, do not split: all on the device: 0 B a frame against 5.10 KB for the best split (k = 2)"),
    ],
)
def test_the_reason_has_the_score_of_both(name: str, reason: str) -> None:
    """What was wanted, what the chosen one and its rival score, in the objective's own unit."""
    ranking = Ranking(objective(name), LINK.rtt_s)
    estimates = decide(CANDIDATES[1:], SPEEDS, LINK, None, ranking)
    decision = make_decision(estimates, estimates, PLAN, LINK, False, ranking)
    assert decision.reason.removesuffix(" on this link") == reason
    assert decision.runner_up is not None
    asked = make_decision(estimates, estimates[:1], PLAN, LINK, False, ranking)
    unit = "" if name == "latency" else f": {ranking.show_with_unit(estimates[0])}"
    assert asked.reason.endswith(f"{candidate_name(estimates[0].candidate, PLAN)}{unit}, as requested")
    assert asked.runner_up is None
