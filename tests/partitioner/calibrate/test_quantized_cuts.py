"""Cuts inside integer arithmetic are said to cost accuracy, with the figure and a better place."""

from pathlib import Path

import onnx
import pytest
from tests.support.architectures import ARCHITECTURES

from partway.cli.main import main
from partway.engines.onnxruntime.engine import OnnxEngine
from partway.partitioner.calibrate.quantized_cuts import cuts_in_floats, difference, nearest
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.slicing import read_graph


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Convolutions between quantise and dequantise operators."""
    path = tmp_path / "qdq.onnx"
    onnx.save(ARCHITECTURES["quantized_qdq"]().model, path)
    return path


def test_only_cuts_of_floats_in_a_quantised_model_are_careless(model: Path, tmp_path: Path) -> None:
    """Quantised values cross soundly; in a float model every cut does."""
    graph = read_graph(model)
    cuts = [Cut(("quantizelinear6_0",)), Cut(("conv3_0",)), Cut(("dequantizelinear7_0",)), Cut(("image",))]
    assert cuts_in_floats(graph, cuts) == cuts[1:3]
    assert nearest(graph, cuts[1]) == cuts[0]
    onnx.save(ARCHITECTURES["chain"]().model, tmp_path / "chain.onnx")
    assert not cuts_in_floats(read_graph(tmp_path / "chain.onnx"), [Cut(("relu2_0",))])


def test_a_careless_cut_is_taken_and_said_to_cost_accuracy(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the measured difference; verify against the original measures it too."""
    out = tmp_path / "out"
    assert main(["slice", str(model), "--out", str(out), "--cuts", "conv3_0"]) == 0
    assert len(caplog.messages) == 1
    assert "by up to 0." in caplog.text
    assert "cut at quantizelinear6_0 instead" in caplog.text
    chain = load_folder(out, load_plan(out), OnnxEngine(1))
    assert difference(model, chain, OnnxEngine(1)) > 0
    assert main(["verify", str(out), "--against", str(model)]) == 2
    assert "does not answer like the whole model" in capsys.readouterr().err


@pytest.mark.parametrize("cuts", ["quantizelinear6_0", "auto"])
def test_a_sound_cut_needs_no_word(cuts: str, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The useful cuts are all sound, and bit-equal."""
    out = tmp_path / "out"
    assert main(["slice", str(model), "--out", str(out), "--cuts", cuts]) == 0
    assert not caplog.messages
    assert main(["verify", str(out), "--against", str(model)]) == 0
