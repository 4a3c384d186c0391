"""Modules by name and weights from files, safe and hostile."""

from __future__ import annotations

import pytest
from tests.support.torch_project import MODULE, SIDE, Hostile, image

from partway.cli.main import main
from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.formats.pytorch.load import load_module, read_state
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.plan.plan_file import load_plan

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def test_the_command_line_slices_a_module_with_weights_from_a_file(here, tmp_path, nets):
    """`module:factory --weights`: the answers are those of the weights given."""
    torch.manual_seed(5)
    module = nets.Net().eval()
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    shape = f"1x3x{SIDE}x{SIDE}"
    told = ["--example-input", shape, "--weights", str(tmp_path / "weights.pt")]
    assert main(["slice", f"{MODULE}:Net", *told, "--out", str(tmp_path / "plan")]) == 0
    plan = load_plan(tmp_path / "plan")
    answer = run_split(load_folder(tmp_path / "plan", plan, engine_for("onnx")), {"image": image(1)}, 1)["head"]
    with torch.no_grad():
        assert relative_error(module(torch.from_numpy(image(1))).numpy(), answer) < 1e-4


def test_a_pickle_is_refused_with_the_safe_way(here, tmp_path, nets, capsys):
    """As a model whatever is in it; as weights when it holds more than tensors. Nothing in it is run."""
    torch.save(nets.Net(), tmp_path / "model.pt")
    assert main(["plan", str(tmp_path / "model.pt"), "--out", str(tmp_path / "plan")]) == 2
    said = capsys.readouterr().err
    assert "refused" in said and "state_dict()" in said and "torch.export.save" in said
    with pytest.raises(InputError, match=r"is a pickle.*refused"):
        read_state(tmp_path / "model.pt")
    ran = tmp_path / "ran"
    torch.save(Hostile(ran), tmp_path / "hostile.pt")
    with pytest.raises(InputError, match="refused"):
        read_state(tmp_path / "hostile.pt")
    assert not ran.exists()


def test_weights_of_another_module_are_refused(tmp_path, nets):
    """The sentence names what is missing; a file that is none is no state dict."""
    torch.save(nets.Block(8).state_dict(), tmp_path / "block.pt")
    with pytest.raises(InputError, match=r"not of this module: Missing key.*stem\.weight"):
        load_module(f"{MODULE}:Net", tmp_path / "block.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match=r"text\.pt"):
        read_state(tmp_path / "text.pt")
    torch.save({"epoch": 3, "state_dict": nets.Block(8).state_dict()}, tmp_path / "checkpoint.pt")
    assert "conv.weight" in read_state(tmp_path / "checkpoint.pt")


def test_safetensors_are_read(tmp_path, nets):
    """The format without code in it."""
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(nets.Block(8).state_dict(), tmp_path / "block.safetensors")
    assert set(read_state(tmp_path / "block.safetensors")) == set(nets.Block(8).state_dict())
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="no safetensors file"):
        read_state(tmp_path / "broken.safetensors")
