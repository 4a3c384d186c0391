"""The models of the torchvision zoo: real graphs against exhaustive search."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from tests.support.best_prefix import best_prefix
from tests.support.chains import agrees, run, session

from partway.partitioner.cuts.bandwidth_sweep import sweep
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.chain import useful_cuts
from partway.partitioner.cuts.mincut import cut_problem
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.formats.onnx.slicer import slice_model
from partway.partitioner.graph.graph import Graph, members
from partway.partitioner.zoo.networks import import_torchvision

torch = pytest.importorskip("torch")
if find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)
pytestmark = pytest.mark.slow

SIDE = 64
MODELS = {
    "resnet18": {},
    "mobilenet_v3_small": {},
    "googlenet": {"aux_logits": False, "init_weights": False},
    "squeezenet1_1": {},
    "efficientnet_b0": {},
    "densenet121": {},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """One model of the zoo with random weights, exported to ONNX and read."""
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(import_torchvision().models, request.param)(weights=None, **MODELS[request.param]).eval()
        torch.onnx.export(
            network,
            (torch.rand(1, 3, SIDE, SIDE),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    return open_onnx(path)


def every_prefix(graph: Graph, most: int = 200_000) -> list[int]:
    """All downward-closed operator sets, each grown from a smaller one by an operator that is ready."""
    needs = [mask & ~(1 << at) for at, mask in enumerate(graph.ancestors)]
    found, edge = {0}, [0]
    while edge:
        prefix = edge.pop()
        for at in members(graph.everything & ~prefix):
            if needs[at] & ~prefix == 0 and (larger := prefix | 1 << at) not in found:
                found.add(larger)
                edge.append(larger)
        assert len(found) < most
    return list(found)


def test_the_minimum_cut_of_a_real_graph_is_what_exhaustive_search_finds(model):
    """Over all downward-closed sets of the model's graph, at every bandwidth where the answer changes and between."""
    graph = model.graph
    device_s = [operator.work * 1e-9 + 1e-5 for operator in graph.operators]
    asked = cut_problem(graph, device_s, [time / 10 for time in device_s])
    prefixes = every_prefix(graph)
    own_s = np.array([asked.own_s(prefix) for prefix in prefixes])
    bits = np.array([asked.crossing_bits(prefix) for prefix in prefixes])
    ends = [span.from_bps for span in sweep(asked)[1:]]
    assert ends
    for bandwidth_bps in (*ends, *(end * 1.2 for end in ends), ends[0] / 10, ends[-1] * 10):
        least_s = (sum(asked.cloud_s) + own_s + bits / bandwidth_bps).min()
        assert best_prefix(asked, bandwidth_bps).total_s == pytest.approx(least_s, rel=1e-6)


def test_no_prefix_at_all_sends_less_for_less_work_than_the_legal_cuts_do(model):
    """Of all downward-closed sets, none that sends fewer bytes than the input beats the legal cuts by much work."""
    graph = model.graph
    legal = [(frontier.size_bytes, frontier.work) for frontier in legal_cuts(graph)]
    whole = graph.work(graph.everything)
    for prefix in every_prefix(graph)[:3000]:
        size_bytes = sum(map(graph.size_bytes, graph.crossing(prefix)))
        if 0 < size_bytes < graph.size_bytes("image"):
            least = min((work for size, work in legal if size <= size_bytes), default=whole)
            assert least <= graph.work(prefix) + whole / 20


def test_prefix_and_suffix_of_a_real_model_equal_the_whole(model, tmp_path):
    """At each useful cut, for one image and for three."""
    whole = session(model.file.path)
    cuts = useful_cuts(model.graph)
    assert cuts
    for at, cut in enumerate(cuts):
        stages = slice_model(model, [cut], tmp_path / str(at))
        sessions = [session(tmp_path / str(at) / stage.file) for stage in stages]
        assert sum(stage.size_bytes for stage in stages) <= 1.02 * model.file.path.stat().st_size
        for batch in (1, 3):
            feeds = {"image": np.random.default_rng(batch).random((batch, 3, SIDE, SIDE), dtype=np.float32)}
            assert agrees(run(sessions, feeds)["logits"], run([whole], feeds)["logits"])
