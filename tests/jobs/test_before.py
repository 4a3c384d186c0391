"""Plans, profiles and frames that the version before the rooms wrote: still read, with the same answers.

``tests/data/before`` was written by that version from a small random network: ``partway plan --calibrate``, ``partway
profile --operators``, and the messages that its device sent for one frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.cli.main import main
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.session.session import Session
from partway.edge.sources.files import Sample
from partway.edge.transport.fake import FakeCloud
from partway.errors import InputError
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import Chain, choose_engine, load_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan, plan_from_json, read_stage, save_plan
from partway.partitioner.profile.file import load_profile, stage_seconds
from partway.proto.frame import decode_reply, decode_request

pytest.importorskip("onnxruntime")
Array = np.ndarray[Any, Any]
BEFORE = Path(__file__).parents[1] / "data" / "before"
DIGEST = "dd9139aa7ee646bdfb25c6f5dfbf53843c31010ccd09d926b61045f30ed2aa99"
"""What the version before computed for this plan, and what its profile and frames name it by."""
SENT = ("0_raw", "0_t33", "1_raw", "1_t25", "1_fp16", "1_q8", "1_c8", "1_zstd", "2_raw", "2_q4")
"""The recorded messages: split and codec."""
EXACT = ("raw", "zstd")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(BEFORE / "plan")


@pytest.fixture(scope="module")
def chain(plan: Plan) -> Chain:
    return load_folder(BEFORE / "plan", plan, choose_engine(plan, "auto", 1))


@pytest.fixture(scope="module")
def recorded() -> Iterator[Mapping[str, Array]]:
    """One frame, what the version before answered to it, and the messages it sent."""
    with np.load(BEFORE / "messages.npz") as arrays:
        yield dict(arrays)


def test_the_plan_loads_with_the_digest_it_had(plan: Plan, tmp_path: Path) -> None:
    """Every stage file is its own; written again, the plan is the same JSON."""
    assert plan.digest == DIGEST
    assert all(read_stage(BEFORE / "plan", stage) for stage in plan.stages)
    assert {quality["name"] for entry in plan.codecs for quality in entry["qualities"]} == {"t33", "t25"}
    again = save_plan(plan, tmp_path)
    assert json.loads(again.read_text()) == json.loads((BEFORE / "plan" / "plan.json").read_text())


def test_a_plan_that_was_changed_since_is_refused() -> None:
    """The recorded digest still guards it."""
    data = json.loads((BEFORE / "plan" / "plan.json").read_text())
    with pytest.raises(InputError, match="was changed after it was written"):
        plan_from_json({**data, "model": "other"})


def test_the_whole_model_answers_as_it_did(chain: Chain, plan: Plan, recorded: Mapping[str, Array]) -> None:
    """On the frame that was recorded."""
    live = chain.run({"image": recorded["image"]}, 0, len(plan.stages))
    np.testing.assert_allclose(live["logits"], recorded["logits"], rtol=1e-4, atol=1e-5)


def splits() -> list[tuple[int, str | None]]:
    """Every split with every codec that the plan admits there, and all on the device."""
    entries = json.loads((BEFORE / "plan" / "plan.json").read_text())["candidates"]
    return [*sorted({(entry["k"], entry["codec"]) for entry in entries}), (3, None)]


@pytest.mark.parametrize(("k", "codec"), splits())
def test_it_runs_at_every_split(
    k: int, codec: str | None, chain: Chain, plan: Plan, recorded: Mapping[str, Array]
) -> None:
    """With each codec it was measured with; what is coded without loss answers as the whole model does."""
    cloud = FakeCloud(chain)
    sample = Sample("frame", values={"image": recorded["image"]})
    (result,) = Runner(chain, Encoder(plan), cloud.open_stream).run([sample], lambda: Candidate(k, codec))
    assert result.answered_by == ("device" if codec is None else "cloud")
    assert cloud.received == (codec is not None)
    scale = float(np.abs(recorded["logits"]).max())
    error = float(np.abs(result.outputs["logits"] - recorded["logits"]).max()) / scale
    assert error < (1e-4 if codec is None or codec in EXACT else 0.3)


@pytest.mark.parametrize("name", SENT)
def test_frames_that_it_sent_are_answered(name: str, chain: Chain, plan: Plan, recorded: Mapping[str, Array]) -> None:
    """A device of the version before keeps its cloud: the message decodes, names this plan and gets its answer."""
    message = recorded[name].tobytes()
    header = dict(decode_request(message).header.parameters)
    assert (header["partway.plan"], f"{header['partway.cut']}_{header['partway.codec']}") == (DIGEST, name)
    replies: list[bytes] = []
    FakeCloud(chain).open_stream(lambda reply, _: replies.append(reply), lambda _: None).send(message)
    reply = decode_reply(replies[0])
    logits = np.frombuffer(reply.frame.raw[0], np.float32)
    error = float(np.abs(logits - recorded["logits"][0]).max() / np.abs(recorded["logits"]).max())
    assert error < (1e-4 if name.endswith(EXACT) else 0.5)
    assert logits.argmax() == recorded["logits"].argmax()


def test_the_profile_is_accepted(plan: Plan) -> None:
    """Its seconds per stage and per operator; for another plan it is refused."""
    profile = load_profile(BEFORE / "profile.json", plan)
    assert (profile.plan, profile.model, profile.threads, profile.runs) == (DIGEST, "small", 1, 5)
    assert len(profile.stage_s) == len(plan.stages)
    assert {one.kind for one in profile.operators} >= {"Conv", "MaxPool", "Gemm"}
    assert sum(one.time_s for one in profile.operators) == pytest.approx(sum(profile.stage_s), rel=0.01)
    assert stage_seconds(json.loads((BEFORE / "profile.json").read_text()), len(plan.stages)) == profile.stage_s


def test_the_command_lines_take_both(capsys: pytest.CaptureFixture[str]) -> None:
    """``partway explain`` chooses by the plan and the profile of before."""
    profile = str(BEFORE / "profile.json")
    code = main(
        ["explain", str(BEFORE / "plan"), "--profile", profile, "--cloud-profile", profile, "--bandwidth", "1Gbps",
         "--rtt", "1us", "--json"]
    )  # fmt: skip
    assert code == 0
    assert json.loads(capsys.readouterr().out)["model"] == "small"


def test_a_session_runs_it(recorded: Mapping[str, Array]) -> None:
    """A program opens the folder as it is."""
    with Session(BEFORE / "plan", cloud="none", threads=1) as session:
        result = session.infer({"image": recorded["image"]})
    np.testing.assert_allclose(result.outputs["logits"], recorded["logits"], rtol=1e-4, atol=1e-5)
