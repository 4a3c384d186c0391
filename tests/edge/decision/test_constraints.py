"""Constraints on a run: what they exclude is refused or never sent, and what the device cannot hold is not loaded."""

import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import pytest
from tests.support.affine import STAGES, affine_chain, samples

from partway.edge.decision.constraints import (
    admitted_candidates,
    check_constraints,
    may_send,
    no_fallback_warning,
    stages_that_fit,
)
from partway.edge.main import main
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.result import NOBODY
from partway.edge.pipeline.runner import Runner
from partway.edge.report.statistics import summarize
from partway.edge.report.terminal import frame_line
from partway.edge.transport import client as transport
from partway.edge.transport.access.access import Access
from partway.edge.transport.client import Description
from partway.edge.transport.fake import FakeCloud, answer_all
from partway.edge.transport.interface import FrameStream, OnLost, OnReply
from partway.engines.registry import engine_for
from partway.errors import InputError, PartwayError
from partway.partitioner.decide.constraints import Constraints, device_bytes
from partway.partitioner.decide.estimate import Candidate, Link
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.file import profile_to_json
from partway.partitioner.profile.measure import StageTimes
from partway.partitioner.zoo import model_folder
from partway.proto.frame import Frame

MNIST = load_plan(model_folder("mnist"))
SMALL = Constraints(max_device_bytes=device_bytes(MNIST, 1))
"""Room for the first stage only."""


class RecordingCloud:
    """A cloud in this process that keeps every frame it gets; stands in for CloudClient."""

    frames: list[Frame]
    chain: Chain

    def __init__(self, address: str, timeout_s: float, access: Access) -> None:
        self.address, self.access = address, access

    def describe(self, model: str, digest: str) -> Description:
        profile = profile_to_json(StageTimes((1e-5, 1e-5, 1e-5), 0.0, 5), engine_for(MNIST.engine, 1), MNIST.digest)
        return Description((model,), MNIST, MNIST.digest, profile, "recording")

    def probe(self, payload_bytes: int, reply_bytes: int = 0) -> float:
        return 1e-5 + payload_bytes * 8 / 1e9

    def open_stream(self, on_reply: OnReply, on_lost: OnLost) -> FrameStream:
        def recorded(cloud: FakeCloud) -> None:
            self.frames.extend(cloud.waiting)
            answer_all(cloud)

        return FakeCloud(self.chain, recorded).open_stream(on_reply, on_lost)

    def __enter__(self) -> "RecordingCloud":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


Recorded = Callable[..., tuple[int, list[Frame]]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Run edge-run with these options on a recording cloud: exit code and all frames that ever came there."""
    RecordingCloud.chain = load_folder(model_folder("mnist"), MNIST, engine_for(MNIST.engine, 1))
    monkeypatch.setattr(transport, "CloudClient", RecordingCloud)

    def run(*options: str) -> tuple[int, list[Frame]]:
        RecordingCloud.frames = []
        return main(["--model", "mnist", "--cloud", "127.0.0.1:1", "--frames", "3", *options]), RecordingCloud.frames

    return run


def _cuts(frames: Sequence[Frame]) -> set[int]:
    return {int(dict(frame.header.parameters)["partway.cut"]) for frame in frames}


def _values(frames: Sequence[Frame]) -> set[str]:
    return {head.name for frame in frames for head in frame.header.tensors}


WANTED = ["latency", "throughput", "bytes", "energy"]


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize(
    "extra", [[], ["--max-drop", "100"], ["--codec", "webp75"], ["--split", "1"], ["--split", "2"]]
)
def test_an_input_that_stays_on_the_device_never_leaves_it(name: str, extra: list[str], recorded: Recorded) -> None:
    """Neither as a tensor nor as a picture, in no trial and no answer: no frame with k = 0 ever arrives."""
    code, frames = recorded("--objective", name, "--keep-on-device", "input", *extra)
    assert code == 0
    assert frames
    assert 0 not in _cuts(frames)
    assert not _values(frames) & set(MNIST.inputs)


def test_without_that_constraint_the_input_does_leave(recorded: Recorded) -> None:
    """The recording can tell: the same run without it sends pictures."""
    code, frames = recorded("--split", "0")
    assert code == 0
    assert 0 in _cuts(frames)
    assert _values(frames) >= set(MNIST.inputs)


@pytest.mark.parametrize(("value", "k"), [("relu3", 1), ("pool5", 2), ("logits", 3)])
def test_any_value_may_be_kept(value: str, k: int, recorded: Recorded) -> None:
    """No frame carries it, those that measure the link included, which carry the model's outputs otherwise."""
    assert k in _cuts(recorded("--split", str(min(k, 2)))[1])
    code, frames = recorded("--keep-on-device", value, "--objective", "throughput")
    assert code == 0
    assert k not in _cuts(frames)
    assert value not in _values(frames)


def test_a_device_without_room_sends_from_the_stages_it_holds(recorded: Recorded, capsys: Any, caplog: Any) -> None:
    """Later stages are neither loaded nor run, it is said at the start, and only earlier splits are left."""
    code, frames = recorded(
        "--max-device-memory", f"{SMALL.max_device_bytes}B", "--json", "-", "--keep-on-device", "input"
    )
    made = json.loads(capsys.readouterr().out)
    assert code == 0
    assert _cuts(frames) == {1}
    assert {c["cut"] for c in made["plan"]["candidates"]} == {1}
    assert {frame["answered_by"] for frame in made["frames"]} == {"cloud"}
    assert [r.getMessage() for r in caplog.records if r.name == "partway.edge"] == [no_fallback_warning(MNIST, SMALL)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--keep-on-device", "input", "--split", "0"], "split 0 is excluded by --keep-on-device input; give another"),
        (["--keep-on-device", "relu3", "--split", "relu3"], "split 1 is excluded by --keep-on-device relu3;"),
        (["--max-device-memory", "1KB", "--split", "device"], "split 3 is excluded by --max-device-memory 1.00 KB;"),
        (["--max-device-memory", "1KB", "--split", "2"], "split 2 is excluded by --max-device-memory 1.00 KB;"),
        (
            ["--keep-on-device", "input", "--max-device-memory", "1KB"],
            "no candidate is left: --keep-on-device input excludes all in the cloud; --max-device-memory 1.00 KB",
        ),
        (["--max-device-memory", "10B"], "excludes all in the cloud, split 1, split 2, all on the device; relax it"),
        (["--keep-on-device", "inptu"], "no cut of mnist sends 'inptu'; did you mean input?"),
        (["--max-device-memory", "64"], "size '64' needs a number above zero and a unit, for example 64MB"),
        (["--objective", "cost"], "unknown objective 'cost'; known: bytes, energy, latency, throughput"),
        (["--power", "pi3"], "power 'pi3' is neither of pi4, pi5 nor written like compute="),
        (["--cloud", "none", "--max-device-memory", "1KB"], "without a cloud everything runs on the device, which"),
    ],
)
def test_what_can_only_fail_is_refused_before_anything_is_sent(
    options: list[str], says: str, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with what to relax, exit code 2, no frame, nothing printed."""
    code, frames = recorded(*options)
    captured = capsys.readouterr()
    assert (code, frames, captured.out) == (2, [], "")
    (line,) = captured.err.splitlines()
    assert line.startswith("edge-run: ")
    assert says in line


def test_what_only_codecs_exclude_is_told_as_well(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    """A codec for pictures, an input that may not leave, no room for the whole model: nothing is left or sent."""
    code, frames = recorded("--codec", "png", "--keep-on-device", "input", "--max-device-memory", "50KB")
    assert (code, frames) == (2, [])
    assert "no candidate is left" in capsys.readouterr().err


def test_limits_are_those_of_the_plan() -> None:
    """How many stages fit, whether the outputs may be sent, and whether there is a way back without a cloud."""
    assert [stages_that_fit(MNIST, Constraints(max_device_bytes=device_bytes(MNIST, k))) for k in MNIST.splits] == [
        0,
        1,
        2,
        3,
    ]
    assert stages_that_fit(MNIST, Constraints()) == 3
    assert no_fallback_warning(MNIST, Constraints()) is None
    assert no_fallback_warning(MNIST, Constraints(max_device_bytes=device_bytes(MNIST, 3))) is None
    assert "if the cloud is lost, frames get no answer" in str(no_fallback_warning(MNIST, SMALL))
    assert not may_send(MNIST, SMALL, 3)
    assert not may_send(MNIST, Constraints(keep_on_device=("logits",)), 3)
    assert may_send(MNIST, Constraints(keep_on_device=("input",)), 3)
    check_constraints(MNIST, SMALL, None, linked=True)
    with pytest.raises(InputError, match="relax it or give a cloud"):
        check_constraints(MNIST, SMALL, None, linked=False)


def test_without_a_link_what_sends_is_not_even_excluded() -> None:
    """Only all on the device is there to be admitted."""
    candidates = [Candidate(0, "raw"), Candidate(3, None)]
    assert admitted_candidates(candidates, MNIST, Constraints(), None) == candidates[1:]
    assert admitted_candidates(candidates, MNIST, Constraints(), Link(1e6, 0.0)) == candidates


def _short_runner(behaviour: Callable[[FakeCloud], None], **options: Any) -> Runner:
    """A runner on a device that holds the first two of three stages."""
    cloud = FakeCloud(affine_chain(), behaviour)
    held = Chain(cloud.chain.plan, cloud.chain.stages[:2])
    return Runner(held, Encoder(held.plan), cloud.open_stream, **{"stall_s": 0.0, **options})


@pytest.mark.parametrize("batch", [1, 2])
def test_frames_go_unanswered_when_the_cloud_is_lost_and_the_device_holds_too_little(batch: int) -> None:
    """In flight or not yet sent: each frame is there, in order, without an answer, and says so."""

    def until(cloud: FakeCloud) -> None:
        if cloud.received == 4:
            cloud.lose()
        elif len(cloud.waiting) == 2:
            cloud.answer()

    runner = _short_runner(until, window=3, batch=batch)
    results = list(runner.run(samples(12), lambda: Candidate(2, "raw")))
    assert [result.id for result in results] == list(range(12))
    answered = [result for result in results if result.answered_by == "cloud"]
    lost = results[len(answered) :]
    assert len(answered) == 2 * batch
    assert {(r.answered_by, r.cut, r.codec, len(r.outputs), r.top) for r in lost} == {(NOBODY, 2, "raw", 0, ())}
    assert [r.bytes_sent > 0 for r in lost] == [True] * (2 * batch) + [False] * (len(lost) - 2 * batch)
    assert frame_line(lost[0]).split()[-2:] == ["not", "answered"]
    summary = summarize(results, 1.0)
    assert (summary["answered"], summary["unanswered"], summary["by_device"]) == (len(answered), len(lost), 0)
    assert summary["frames_per_s"] == len(answered)


def test_a_refused_frame_goes_unanswered_there_too(caplog: pytest.LogCaptureFixture) -> None:
    """The cloud says no and the device cannot: the next frame may still be answered."""

    def moody(cloud: FakeCloud) -> None:
        if cloud.received % 2:
            cloud.refuse("too busy")
        else:
            cloud.answer()

    results = list(_short_runner(moody).run(samples(4), lambda: Candidate(1, "raw")))
    assert [result.answered_by for result in results] == [NOBODY, "cloud"] * 2
    assert "too busy); not answered" in caplog.text


def test_a_cloud_that_refuses_trial_frames_ends_such_a_run() -> None:
    """What nobody answered is no measurement."""
    from partway.edge.decision.trial import try_candidate
    from partway.edge.decision.trial_frames import TrialFrames

    runner = _short_runner(lambda cloud: cloud.refuse("no"))
    with pytest.raises(PartwayError, match="the cloud refused trial frames"):
        try_candidate(TrialFrames(runner, samples(1)[0]), Candidate(1, "raw"))
    assert STAGES == 3
