"""TFLite files as graphs: operators, values, what integers mean, and what may not be cut."""

import json

import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl
from tests.support.tflite_models import Model
from tests.support.tflite_nets import NETS, add, chain, changed, packed, save, weight

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.cuts.crossing import prefix_of
from partway.partitioner.plan.plan import plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json
from partway.partitioner.slicing import make_plan, open_model, read_graph
from partway.proto.tensors import Quantization


def test_operators_bear_the_names_of_the_values_they_make(graph_of):
    """TFLite gives them none of their own; weights and work are counted."""
    graph = graph_of("chain")
    assert [(operator.name, operator.kind) for operator in graph.operators] == [
        ("a", "ADD"),
        ("b", "ADD"),
        ("c", "ADD"),
    ]
    assert graph.inputs == ("x",)
    assert graph.outputs == ("c",)
    assert graph.constants == {"w0": 16, "w1": 16, "w2": 16}
    assert [operator.work for operator in graph.operators] == [4, 4, 4]


def test_what_integers_mean_goes_into_the_plan_and_its_digest(data, tmp_path):
    """Scale and zero point of what crosses, there and back through JSON."""
    model = data / "tflite" / "pretrainedResnet_quant.tflite"
    cut = legal_cuts(read_graph(model))[4].cut
    plan = make_plan(model, tmp_path, [str(cut)])
    assert plan.tensors["input_1_int8"].quantization == Quantization((1.0,), (-128,))
    assert [spec.dtype for spec in plan.crossing(1)] == ["int8", "int8"]
    assert all(spec.quantization is not None and spec.quantization.scales[0] > 0 for spec in plan.crossing(1))
    written = json.loads(json.dumps(plan_to_json(plan)))
    assert plan_from_json(written) == plan
    changed = json.loads(json.dumps(written).replace('"scales": [1.0]', '"scales": [2.0]'))
    assert plan_from_json(changed).digest != plan.digest


def test_a_tensor_without_quantisation_is_written_as_before(graph_of):
    """Plans of other models keep their digests."""
    assert graph_of("chain").values["a"].to_json() == {"name": "a", "dtype": "float32", "shape": [1, 4]}


def test_open_batches_are_open_in_the_plan_and_one_in_sizes(data):
    """By the shape signature; a model without one has the shape it says."""
    graph = read_graph(data / "tflite" / "kws_ref_model_float32.tflite")
    assert graph.values["input_1"].shape == (None, 49, 10, 1)
    assert graph.size_bytes("input_1") == 1960
    fixed = read_graph(data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite")
    assert fixed.values["input"].shape == (1, 224, 224, 3)


def test_useful_cuts_are_spread_over_the_model(data):
    """The same choice as for any other model: an early one for inputs that stay, and later ones."""
    graph = read_graph(data / "tflite" / "tf2_mobilenet_v2_1.0_224_ptq.tflite")
    done = [graph.work(prefix_of(graph, cut)) / graph.work(graph.everything) for cut in useful_cuts(graph)]
    assert 3 <= len(done) <= 8
    assert done == sorted(done) and done[0] < 0.25 and done[-1] > 0.4


def test_operators_that_make_constants_are_no_operators(graph_of):
    """Weights stored as float16 and widened: nothing of that ever crosses."""
    graph = graph_of("half_weights")
    assert [operator.name for operator in graph.operators] == ["v0", "v1", "v2"]
    assert [operator.constants for operator in graph.operators] == [("half0",), ("half1",), ("half0",)]


def test_a_model_that_no_cut_separates_says_so(tmp_path):
    """One operator has no inside."""
    path = save(tmp_path / "m.tflite", chain(("a",)))
    with pytest.raises(InputError, match="no cut separates"):
        make_plan(path, tmp_path / "out")


def test_entry_points_beside_the_main_one_are_refused(tmp_path):
    """Stages of one of them would silently lack the others."""
    signature = tfl.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex, signature.inputs, signature.outputs = "encode", 1, [], []
    path = save(tmp_path / "m.tflite", changed(NETS["conditional"](), signatureDefs=[signature]))
    with pytest.raises(InputError, match=r"several entry points \(encode\)"):
        open_model(path)


def test_sizes_are_fixed_in_the_file(data):
    """A shape that says the same is fine, another is not, nor is one of an input that is not there."""
    model = data / "tflite" / "kws_ref_model.tflite"
    assert read_graph(model, {"input_1": (1, 49, 10, 1)}).inputs == ("input_1",)
    with pytest.raises(InputError, match="fixed"):
        read_graph(model, {"input_1": (1, 50, 10, 1)})
    with pytest.raises(InputError, match="no input `x`"):
        read_graph(model, {"x": (1,)})


def test_an_input_with_open_sides_is_refused(tmp_path):
    """Nobody knows what its values weigh."""
    net = Model()
    x = net.tensor("x", "float32", (None, None, 4))
    path = save(tmp_path / "m.tflite", net.pack([x], [add(net, x, x, "y", (None, None, 4))]))
    with pytest.raises(InputError, match="has open sizes"):
        read_graph(path)


def test_text_cannot_be_a_models_input(tmp_path):
    """Nor handles: the wire carries numbers."""
    net = Model()
    x = net.tensor("x", "string", (1,))
    model = tfl.ModelT.InitFromPackedBuf(net.pack([x], [add(net, x, weight(net, "w", 1), "y", (1,))]), 0)
    path = save(tmp_path / "m.tflite", packed(model))
    with pytest.raises(InputError, match=r"`x` .* not a tensor of numbers"):
        read_graph(path)
