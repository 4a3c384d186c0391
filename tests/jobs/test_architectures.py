"""Every architecture, cut everywhere it can be: prefix and suffix equal the whole."""

import onnx
import pytest
from tests.support.architectures import ARCHITECTURES
from tests.support.chains import agrees, feeds_for, run, session

from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.formats.onnx.slicer import slice_model

STRICT_OPSET = 9
"""Before it, Constant nodes held no integers on paper; exporters wrote them all the same."""


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request, tmp_path_factory):
    """One architecture: how it is run, its file, and the model read from it."""
    architecture = ARCHITECTURES[request.param]()
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    onnx.save(architecture.model, path)
    return architecture, path, open_onnx(path, architecture.sizes)


def same_answers(architecture, whole, stages) -> list[str]:
    """The outputs that differ, at any of the architecture's batch sizes."""
    wrong = []
    for batch in architecture.batches:
        feeds = feeds_for(architecture.model, architecture.sizes, batch, seed=batch)
        want, got = run([whole], feeds), run(stages, feeds)
        for value in architecture.model.graph.output:
            if not agrees(got[value.name], want[value.name], architecture.exact):
                wrong.append(f"{value.name} at batch {batch}")
    return wrong


def test_prefix_and_suffix_equal_the_whole_at_every_legal_cut(case, tmp_path):
    """Wherever the model can be cut in two, the two halves in turn give the whole model's answers."""
    architecture, path, model = case
    plain = architecture.fused
    whole, legal = session(path, plain), legal_cuts(model.graph)
    assert legal
    for at, frontier in enumerate(legal):
        stages = slice_model(model, [frontier.cut], tmp_path / str(at))
        sessions = [session(tmp_path / str(at) / stage.file, plain) for stage in stages]
        assert not same_answers(architecture, whole, sessions), f"cut at {frontier.cut}"


def test_prefix_and_suffix_equal_the_whole_at_every_useful_cut(case, tmp_path):
    """The same for the cuts that are offered, with everything that the engine does to make them fast."""
    architecture, path, model = case
    whole = session(path)
    for at, cut in enumerate(useful_cuts(model.graph, limit=100)):
        stages = slice_model(model, [cut], tmp_path / str(at))
        sessions = [session(tmp_path / str(at) / stage.file) for stage in stages]
        assert not same_answers(architecture, whole, sessions), f"cut at {cut}"


def test_the_whole_chain_of_legal_cuts_equals_the_model(case, tmp_path):
    """Cut everywhere at once, with values that pass through several stages, the answers stay the same."""
    architecture, path, model = case
    cuts = [frontier.cut for frontier in legal_cuts(model.graph)]
    stages = slice_model(model, cuts, tmp_path)
    sessions = [session(tmp_path / stage.file, architecture.fused) for stage in stages]
    assert not same_answers(architecture, session(path, architecture.fused), sessions)
    assert sum(stage.operators for stage in stages) == len(model.graph.operators)


def test_every_stage_is_a_valid_model(case, tmp_path):
    """Each stage file passes the full checker, shapes included, and describes its inputs and outputs truly."""
    _, _, model = case
    stages = slice_model(model, useful_cuts(model.graph, limit=3), tmp_path)
    for stage in stages:
        proto = onnx.load(tmp_path / stage.file)
        onnx.checker.check_model(proto, full_check=proto.opset_import[0].version >= STRICT_OPSET)
        weights = {tensor.name for tensor in proto.graph.initializer}
        assert [value.name for value in proto.graph.input if value.name not in weights] == [
            spec.name for spec in stage.inputs
        ]
        assert [value.name for value in proto.graph.output] == [spec.name for spec in stage.outputs]


def test_a_wrong_suffix_is_caught(case, tmp_path):
    """With the weights of the last stage changed, the comparison fails: it is able to."""
    architecture, path, model = case
    cut = legal_cuts(model.graph)[0].cut
    stages = slice_model(model, [cut], tmp_path)
    spoil(tmp_path / stages[-1].file)
    sessions = [session(tmp_path / stage.file) for stage in stages]
    assert same_answers(architecture, session(path), sessions)


def spoil(path) -> None:
    """Change the sign of every weight matrix in a file."""
    proto = onnx.load(path)
    weights = [tensor for tensor in proto.graph.initializer if tensor.data_type in (1, 3) and len(tensor.dims) > 1]
    for tensor in weights:
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(-array, tensor.name))
    assert weights, "nothing to spoil"
    onnx.save(proto, path)
