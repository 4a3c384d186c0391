"""What to decide by: the link, the candidates, the trial frames."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.support.affine import STAGES, affine_chain, runner_on, samples

from partway.edge.decision import trial
from partway.edge.decision.constraints import admitted_candidates
from partway.edge.decision.trial import decide, measure_candidates, try_candidate
from partway.edge.decision.trial_frames import TrialFrames
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.edge.transport.fake import FakeCloud
from partway.engines.registry import engine_for
from partway.errors import LinkLost
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds
from partway.partitioner.decide.objectives import objective
from partway.partitioner.plan.chain import Chain, load_chain
from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import load_plan, plan_from_json, read_stage
from partway.partitioner.zoo import model_folder
from partway.proto.frame import Durations, Reply, encode_reply

PLAN = affine_chain().plan


def test_all_on_the_device_is_all_there_is_without_a_link() -> None:
    """Without a cloud only the candidate that sends nothing is left."""
    candidates = admitted_candidates([Candidate(0, "raw", 10), Candidate(3, None)], PLAN, Constraints(), None)
    (only,) = decide(candidates, Speeds((1.0, 1.0, 1.0), ()), None, None)
    assert only.candidate.codec is None


def test_codecs_beyond_the_budget_are_not_even_estimated() -> None:
    """A codec that was not measured to agree stays out until any drop is allowed."""
    candidates = [Candidate(1, "raw", 10), Candidate(1, "fp16", 5, lossless=False)]
    link = Link(1e6, 0.01)
    assert [c.codec for c in admitted_candidates(candidates, PLAN, Constraints(max_drop=1.0), link)] == ["raw"]
    assert [c.codec for c in admitted_candidates(candidates, PLAN, Constraints(max_drop=100.0), link)] == [
        "raw",
        "fp16",
    ]


def _took(candidate: Candidate, total_s: float) -> Estimate:
    """A trial that took this long, all of it on the link."""
    return Estimate(candidate, link_s=total_s, measured_s=total_s)


def test_trial_frames_go_through_the_best_candidates() -> None:
    """The best two and the best real split are tried, and what they took is what counts."""
    candidates = [Candidate(0, "raw", 1), Candidate(1, "raw", 10_000), Candidate(2, "raw", 20_000), Candidate(3, None)]
    speeds, link = Speeds((0.1, 0.1, 0.1), (0.1, 0.1, 0.1)), Link(1e6, 0.0)
    tried = {}

    def trial(candidate: Candidate) -> Estimate:
        tried[candidate.k] = 0.35 - candidate.k / 100
        return _took(candidate, tried[candidate.k])

    estimates = decide(candidates, speeds, link, trial)
    assert {e.candidate.k: e.measured_s for e in estimates if e.measured_s is not None} == tried
    assert set(tried) == {0, 1, 3}


def test_an_estimate_never_beats_a_measurement_untried() -> None:
    """When those that were tried took longer than estimated, the next best is tried too, up to a bound."""
    candidates = [Candidate(k, "raw", 1) for k in (0, 1, 2)] + [Candidate(3, None)]
    speeds, link = Speeds((0.1, 0.1, 0.1), (0.1, 0.1, 0.1)), Link(1e6, 0.0)
    estimates = decide(candidates, speeds, link, lambda candidate: _took(candidate, 9.0 - candidate.k))
    assert objective().best(estimates).measured_s == 6.0
    many = [Candidate(1, "raw", size) for size in range(20)]
    tried = [e for e in decide(many, speeds, link, lambda c: _took(c, 9.0)) if e.measured_s is not None]
    assert len(tried) == 6


def test_a_trial_leaves_the_runner_as_it_was() -> None:
    """Trial frames go one at a time with ids of their own; afterwards window, batch and ids are the run's."""
    most = []

    def watch(cloud: FakeCloud) -> None:
        most.append((len(cloud.waiting), int(cloud.waiting[0].id)))
        cloud.answer()

    cloud = FakeCloud(affine_chain(), watch)
    runner = runner_on(cloud, window=5, batch=3)
    made = try_candidate(TrialFrames(runner, samples(1)[0]), Candidate(1, "raw"))
    assert made is not None
    assert (made.measured_s or 0) > 0
    assert {waiting for waiting, _ in most} == {1}
    assert all(frame_id < 0 for _, frame_id in most)
    assert (runner.window, runner.batch) == (5, 3)
    assert [r.id for r in runner.run(samples(4), lambda: Candidate(1, "raw"))] == [0, 1, 2, 3]


def test_a_trial_takes_the_median() -> None:
    """Two frames warm up, and of the rest the middle one counts."""

    def slow_at_first(cloud: FakeCloud) -> None:
        seconds = 100.0 if cloud.received <= 2 else float(cloud.received)
        frame = cloud.answer_to(cloud.waiting.pop())
        cloud.deliver(encode_reply(Reply(frame, Durations(seconds))))

    runner = runner_on(FakeCloud(affine_chain(), slow_at_first))
    made = try_candidate(TrialFrames(runner, samples(1)[0]), Candidate(1, "raw"))
    assert made is not None
    assert made.measured_s == pytest.approx(6.5, abs=0.2)


def test_a_link_lost_in_the_trial_is_told() -> None:
    """A cloud that dies before the first frame is no ground for a decision."""
    runner = runner_on(FakeCloud(affine_chain(), lambda cloud: cloud.lose("gone")))
    with pytest.raises(LinkLost, match="gone during the first trial frames"):
        try_candidate(TrialFrames(runner, samples(1)[0]), Candidate(1, "raw"))


@pytest.fixture(scope="module")
def mnist() -> Chain:
    """The shipped model, before anything was measured of its codecs."""
    folder = model_folder("mnist")
    plan = replace(load_plan(folder), candidates=())
    return load_chain(plan, engine_for(plan.engine, 1), lambda stage: read_stage(folder, stage))


PICTURE = Sample("picture", np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8))


def _kinds(found: Sequence[Candidate]) -> list[tuple[int, str | None]]:
    return [(candidate.k, candidate.codec) for candidate in found]


def test_every_split_competes_with_every_codec_that_fits(mnist: Chain) -> None:
    """Pixels compete at split 0, activations at each, and the device alone stands last."""
    found = measure_candidates(mnist, Encoder(mnist.plan), PICTURE)
    assert set(_kinds(found)) == {(0, "u8"), (3, None)} | {(k, c) for k in range(3) for c in ("raw", "fp16", "zstd")}
    assert _kinds(found)[-1] == (3, None)
    by_kind = {(c.k, c.codec): c for c in found}
    assert by_kind[0, "u8"].size_bytes < by_kind[0, "fp16"].size_bytes < by_kind[0, "raw"].size_bytes
    assert all(c.encode_s > 0 and c.decode_s > 0 and c.reply_bytes > 40 for c in found[:-1])
    assert {c.codec for c in found if c.lossless} == {"u8", "raw", "zstd", None}
    tensors_s = found[-1].read_s
    assert {c.read_s for c in found if c.codec != "u8"} == {tensors_s}
    assert by_kind[0, "u8"].read_s == 0.0 < tensors_s, "the cloud makes tensors of a picture that is sent"


def test_tensors_are_not_sent_as_pictures(mnist: Chain) -> None:
    """A sample without pixels has activation codecs only."""
    values = Sample("tensor", values=PICTURE.tensors(Encoder(mnist.plan).preprocess))
    assert (0, "u8") not in _kinds(measure_candidates(mnist, Encoder(mnist.plan), values))


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        ("raw", [(0, "raw"), (1, "raw"), (2, "raw"), (3, None)]),
        ("fp16", [(0, "fp16"), (1, "fp16"), (2, "fp16"), (3, None)]),
        ("webp80", [(0, "webp80"), (3, None)]),
        ("png", [(0, "png"), (3, None)]),
    ],
)
def test_a_codec_asked_for_is_the_only_one(mnist: Chain, codec: str, expected: list[tuple[int, str | None]]) -> None:
    """Any codec may be asked for by name, a picture codec of any quality too; it stands where it fits."""
    assert _kinds(measure_candidates(mnist, Encoder(mnist.plan), PICTURE, [codec])) == expected


def test_the_plan_adds_codecs_with_their_measured_agreement(mnist: Chain) -> None:
    """What a plan has measured of a codec admits it."""
    measured = ({"k": 0, "codec": "jpeg75", "agreement": 0.998}, {"k": 1, "codec": "fp16", "agreement": 1.0})
    plan: Plan = plan_from_json({**plan_to_json(mnist.plan), "candidates": measured})
    chain = Chain(plan, mnist.stages)
    found = {(c.k, c.codec): c for c in measure_candidates(chain, Encoder(plan), PICTURE)}
    assert found[0, "jpeg75"].admitted(1.0)
    assert not found[0, "jpeg75"].admitted(0.1)
    assert found[1, "fp16"].admitted(0.0)
    assert not found[2, "fp16"].admitted(1.0)


def test_a_plan_that_sends_no_pictures_has_no_picture_codecs(fake_plan: Path) -> None:
    """A model of plain tensors is measured with tensors."""
    plan = load_plan(fake_plan)
    chain = load_chain(plan, engine_for("fake"), lambda stage: read_stage(fake_plan, stage))
    sample = Sample("x", values={"x": np.zeros((1, 64), np.float32)})
    found = measure_candidates(chain, Encoder(plan), sample)
    assert {c.codec for c in found} == {"raw", "fp16", "zstd", None}
    assert len([c for c in found if c.codec == "raw"]) == STAGES


def test_the_round_trip_of_frames_has_the_bytes_taken_off() -> None:
    """40 ms for 1,000 bytes at 1 Mbps leave 32 ms of round trip, whatever the probe had said."""
    frames = [SimpleNamespace(link_s=link_s, bytes_sent=900, bytes_received=100) for link_s in (0.5, 0.04, 0.01)]
    asked: list[Candidate] = []
    link = trial.frame_link(lambda candidate: asked.append(candidate) or frames, Link(1e6, 0.1), 3)  # type: ignore[arg-type]
    assert asked == [Candidate(3, "raw")]
    assert link.bandwidth_bps == 1e6
    assert link.rtt_s == pytest.approx(0.032)
