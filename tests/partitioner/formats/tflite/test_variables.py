"""Resource variables become inputs and outputs; the answers are those of an interpreter that keeps them."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from tests.support.remembering import counting_tflite, plain_tflite
from tests.support.tflite_models import Model
from tests.support.tflite_nets import NETS, add, save, variable, weight

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.formats.tflite.reader import open_tflite
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import verify
from partway.partitioner.plan.state import StateLink
from partway.partitioner.slicing import make_plan

FRAMES = [np.random.default_rng(seed).standard_normal((1, 4)).astype(np.float32) for seed in range(60)]


def test_a_variable_is_an_input_and_an_output(tmp_path: Path) -> None:
    """Its first value is what the initialisation assigns, and the initialisation is gone."""
    model = open_tflite(counting_tflite(tmp_path / "count.tflite", initial=5.0))
    assert (model.graph.inputs, model.graph.outputs) == (("x", "held"), ("y", "total"))
    assert model.state == (StateLink("total", "held", np.full((1, 4), 5, np.float32).tobytes()),)
    assert {operator.kind for operator in model.graph.operators} == {"ADD"}


def test_zeros_need_no_bytes(tmp_path: Path) -> None:
    """The usual first value."""
    assert open_tflite(counting_tflite(tmp_path / "count.tflite", initial=0.0)).state[0].initial == b""


@pytest.mark.parametrize("cuts", ["none", "a+held", "total", "b+total", ["a+held", "total", "b+total"]])
def test_every_split_answers_like_an_interpreter_that_keeps_its_variables(
    tmp_path: Path, cuts: str | list[str]
) -> None:
    """Over a sequence, cuts between the read and the assignment among them."""
    file = counting_tflite(tmp_path / "count.tflite")
    plan = make_plan(file, tmp_path / "plan", cuts)
    chain = load_folder(tmp_path / "plan", plan, engine_for("litert"))
    references = [{"y": answer} for answer in plain_tflite(file, FRAMES)]
    rows = verify(chain, [{"x": frame} for frame in FRAMES], references)
    assert len(rows) == len(plan.stages) + 1
    assert all(row.exact for row in rows)
    apart = verify(chain, [{"x": frame, "held": FRAMES[0]} for frame in FRAMES], references)
    assert not any(row.holds for row in apart)  # with another state than the frame before left


def test_a_variable_read_after_its_assignment_is_no_state(tmp_path: Path) -> None:
    """Nothing of the frame before matters."""
    model = open_tflite(save(tmp_path / "remembering.tflite", NETS["remembering"]()))
    assert (model.state, model.graph.inputs, model.graph.outputs) == ((), ("x",), ("e",))
    assert {cut.cut.values for cut in legal_cuts(model.graph)} >= {("a",), ("b",), ("b", "c"), ("d",)}


def test_what_is_read_before_anything_is_assigned_is_an_error(tmp_path: Path) -> None:
    """An interpreter refuses such a model too, at its first run."""
    with pytest.raises(InputError, match="before anything is assigned"):
        open_tflite(counting_tflite(tmp_path / "count.tflite", initial=None))


def test_variables_inside_a_branch_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Whether they are assigned depends on the data; the sentence says what to do."""
    from ai_edge_litert import schema_py_generated as tfl

    net = Model()
    x, on = net.tensor("x", "float32", (1, 4)), net.tensor("on", "bool", (1,))
    options = tfl.IfOptionsT()
    bodies = []
    for name in ("then", "else"):
        other = Model()
        other.made, graph = net.made, tfl.SubGraphT()
        graph.name, graph.tensors, graph.operators = name, [], []
        other.graph = graph
        net.made.subgraphs.append(graph)
        read = other.tensor(f"{name}_in", "float32", (1, 4))
        other.operator("ASSIGN_VARIABLE", [variable(other, "sum"), read], [], tfl.AssignVariableOptionsT())
        graph.inputs, graph.outputs = [read], [add(other, read, weight(other, f"w_{name}", 1, 4), f"{name}_out")]
        bodies.append(len(net.made.subgraphs) - 1)
    options.thenSubgraphIndex, options.elseSubgraphIndex = bodies
    middle = net.tensor("middle", "float32", (1, 4))
    net.operator("IF", [on, x], [middle], options)
    (tmp_path / "branch.tflite").write_bytes(net.pack([x, on], [middle]))
    with pytest.raises(InputError, match=r"inside IF, .* convert it again"):
        open_tflite(tmp_path / "branch.tflite")


def test_variable_tensors_are_cleared_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They lie inside operators; frames are independent."""
    open_tflite(save(tmp_path / "recurrent.tflite", NETS["recurrent"]()))
    assert "cleared before every frame" in caplog.text
