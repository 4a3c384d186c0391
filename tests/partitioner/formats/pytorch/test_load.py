"""From PyTorch to a plan: what works, what is refused, and what the sentence says."""

from __future__ import annotations

import json
import linecache
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import partway
from partway.cli.main import main
from partway.engines.registry import engine_for
from partway.errors import InputError, MissingPackage
from partway.partitioner.formats.onnx.reader import read_onnx
from partway.partitioner.formats.pytorch.load import load_module, read_state
from partway.partitioner.formats.pytorch.pt2 import OPERATOR, load_program
from partway.partitioner.formats.pytorch.trace import trace
from partway.partitioner.plan.chain import load_folder
from partway.partitioner.plan.parity import relative_error, run_split
from partway.partitioner.plan.plan import load_plan
from partway.partitioner.resolve import export

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

ROOT = Path(__file__).parents[4]
MODULE = "torch_nets"
SIDE = 32


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the modules, as a user's own; imported from there."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(ROOT / "tests" / "support" / f"{MODULE}.py", folder / f"{MODULE}.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def nets(here: Path):
    """The module of modules."""
    load_module(f"{MODULE}:Net")
    return sys.modules[MODULE]


def image(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, 3, SIDE, SIDE), dtype=np.float32)


def test_values_have_the_names_of_their_layers(here, tmp_path):
    """Every value is called after the layer that makes it, a second call of a layer numbered, a function by its own."""
    export(f"{MODULE}:Net", tmp_path / "net.onnx", [f"1x3x{SIDE}x{SIDE}"])
    graph = read_onnx(tmp_path / "net.onnx")
    made = [name for operator in graph.operators for name in operator.outputs]
    assert made == [
        *("stem", "relu", "layers.0.bn", "layers.0.relu", "layers.0.add", "layers.0.relu_1", "layers.1"),
        *("layers.2.bn", "layers.2.relu", "layers.2.add", "layers.2.relu_1", "layers.3", "mean", "head"),
    ]
    assert graph.inputs == ("image",)
    assert str(here).encode() not in (tmp_path / "net.onnx").read_bytes()


def test_the_same_module_gives_the_same_file(here, tmp_path, nets):
    """Exported twice it is the same to the byte: two machines that prepare it agree on its digest."""
    torch.manual_seed(0)
    module = nets.Net()
    partway.plan(module, image(1), out=tmp_path / "a")
    partway.plan(module, image(1), out=tmp_path / "b")
    assert load_plan(tmp_path / "a").digest == load_plan(tmp_path / "b").digest


def test_a_plan_made_in_a_program_answers_like_the_module(tmp_path, nets):
    """At every split, for one frame and for three; the module is left in the mode it was in."""
    module = nets.Net().train()
    plan = partway.plan(module, torch.zeros(1, 3, SIDE, SIDE), out=tmp_path, labels=list("abcde"))
    assert module.training and module.layers[0].bn.training
    assert plan == load_plan(tmp_path)
    assert plan.model == "Net" and plan.batches and plan.output["labels"] == list("abcde")
    assert [str(cut) for cut in plan.cuts[1:-1]]
    chain = load_folder(tmp_path, plan, engine_for("onnx"))
    for batch in (1, 3):
        with torch.no_grad():
            wanted = module.eval()(torch.from_numpy(image(batch, batch))).numpy()
        for k in plan.splits:
            answer = run_split(chain, {"image": image(batch, batch)}, k)["head"]
            assert relative_error(wanted, answer) < 1e-4
            assert relative_error(wanted, answer + 1) > 1e-4


def test_several_inputs_by_name_and_a_dict_of_outputs(tmp_path, nets):
    """Inputs are called as forward calls them, outputs by the keys of what it returns."""
    example = {"scale": np.ones((1, 1), np.float32), "image": image(1)}
    plan = partway.plan(nets.Two(), example, out=tmp_path, cuts="none")
    assert plan.inputs == ("image", "scale") and plan.outputs == ("logits", "best")


def test_an_exported_program_is_loaded_and_cut(here, tmp_path, nets, capsys):
    """`.pt2` on the command line: cuts by the names of the layers, the batch free as it was exported."""
    program = torch.export.export(
        nets.Net().eval(), (torch.zeros(2, 3, SIDE, SIDE),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(program, tmp_path / "net.pt2")
    assert main(["cuts", str(tmp_path / "net.pt2"), "--json"]) == 0
    cuts = json.loads(capsys.readouterr().out)["cuts"]
    assert ["layers.1"] in [cut["values"] for cut in cuts]
    assert main(["slice", str(tmp_path / "net.pt2"), "--out", str(tmp_path / "plan"), "--cuts", "layers.1"]) == 0
    assert load_plan(tmp_path / "plan").batches
    assert partway.plan(program, out=tmp_path / "again").model == "model"


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


@pytest.mark.parametrize(
    ("name", "says", "blamed"),
    [
        ("ByData", "decides by the data.*torch.where", "blame by data"),
        ("NoCounterpart", "bessel_j0.*no ONNX counterpart", "blame operation"),
        ("Numpy", r"cannot be exported.*numpy\(\)", "blame numpy"),
        ("WrongShape", r"does not take the example input float32 \[1, 8\].*1x8 and 9x8", "blame shape"),
        ("NoTensor", "returns 3, which is no tensor", ""),
        ("Random", "does not answer like the module.*random", ""),
        ("Raises", "without arguments.*no such size", "no such size"),
        ("needs_an_argument", "without arguments", ""),
        ("number", "gives a int, not a torch.nn.Module", ""),
        ("Missing", "has no 'Missing'", ""),
    ],
)
def test_what_cannot_be_exported_is_told_with_its_line(here, tmp_path, name, says, blamed):
    """One sentence: what is wrong, and the file and line of the model's own code."""
    with pytest.raises(InputError, match=says) as refused:
        export(f"{MODULE}:{name}", tmp_path / "x.onnx", ["1x8"])
    assert "\n" not in str(refused.value)
    if blamed:
        lines = (here / f"{MODULE}.py").read_text().splitlines()
        number = next(at for at, line in enumerate(lines, 1) if blamed in line)
        assert f"{MODULE}.py, line {number} (" in str(refused.value)
    linecache.checkcache()


def test_a_module_that_fixes_its_batch_takes_one_frame_at_a_time(here, tmp_path, nets, caplog):
    """It is exported nevertheless, and that is said."""
    plan = partway.plan(nets.OneFrame(), np.ones((3, 8), np.float32), out=tmp_path, cuts="none")
    assert not plan.batches and plan.tensors["x"].shape == (1, 8)
    assert "OneFrame has a fixed batch and takes one frame at a time" in caplog.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["1x0x3"], "neither a shape"),
        (["huge"], "neither a shape"),
        (["1x8:complex64"], "neither a shape"),
        (["none.npy"], "cannot be read"),
        (["none.npz"], "cannot be read"),
        ([], "needs --example-input"),
    ],
)
def test_an_example_that_is_none_is_refused(here, tmp_path, given, says):
    """A sentence that shows what would be one."""
    with pytest.raises(InputError, match=says):
        export(f"{MODULE}:Net", tmp_path / "x.onnx", given)


def test_names_that_forward_does_not_have_are_refused(tmp_path, nets):
    """A mapping must name forward's arguments, the first ones without a gap."""
    with pytest.raises(InputError, match="no argument 'picture'; it takes image, scale"):
        trace(nets.Two(), {"picture": image(1), "scale": image(1)})
    with pytest.raises(InputError, match="lacks 'image'"):
        trace(nets.Two(), {"scale": image(1)})
    with pytest.raises(InputError, match="not of a int"):
        partway.plan(3, image(1), out=tmp_path)
    with pytest.raises(InputError, match="give example_inputs"):
        partway.plan(nets.Net(), out=tmp_path)


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


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


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


@pytest.fixture(scope="module")
def program(tmp_path_factory, nets) -> Path:
    """A saved program."""
    path = tmp_path_factory.mktemp("pt2") / "block.pt2"
    torch.export.save(torch.export.export(nets.Block(2).eval(), (torch.zeros(2, 2, 4, 4),)), path)
    load_program(path)
    return path


def changed(program: Path, out: Path, change) -> Path:
    """The archive with each member passed through ``change(name, data)``, None to drop it."""
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            root, _, name = entry.filename.partition("/")
            data = change(name, old.read(entry))
            if data is not None:
                new.writestr(f"{root}/{name}", data)
        for name, data in getattr(change, "also", {}).items():
            new.writestr(f"{root}/{name}", data)
    return out


def swapped(old: str, new: str):
    def change(name: str, data: bytes) -> bytes:
        return data.replace(old.encode(), new.encode()) if name.endswith(".json") else data

    return change


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("torch.ops.aten.relu.default", "torch.os.system", "is no operator"),
        ("torch.ops.aten.relu.default", "torch.hub.load", "is no operator"),
        ("torch.ops.aten.relu.default", "_operator.methodcaller", "is no operator"),
        ("torch.ops.aten.relu.default", "#ext.run", "extension"),
        ('"use_pickle": false', '"use_pickle": true', "kept as a pickle"),
        ('"range_constraints": {', '"x": {"expr_str": "__import__(1)"}, "range_constraints": {', "no size"),
        ('"range_constraints": {', '"x": {"expr_str": "s0.func(1)"}, "range_constraints": {', "no size"),
    ],
)
def test_a_program_that_would_run_code_is_refused(program, tmp_path, old, new, says):
    """torch's loader would call, unpickle or evaluate each of these."""
    path = changed(program, tmp_path / "hostile.pt2", swapped(old, new))
    assert path.read_bytes() != program.read_bytes()
    with pytest.raises(InputError, match=f"refused.*{says}"):
        load_program(path)


def test_pickled_members_of_a_program_are_never_unpickled(program, tmp_path):
    """The example inputs as a hostile pickle, an object of a class, a compiled library: refused, and nothing is run."""
    ran = tmp_path / "ran"
    torch.save(Hostile(ran), tmp_path / "hostile.pt")
    hostile = (tmp_path / "hostile.pt").read_bytes()

    def samples(name: str, data: bytes) -> bytes:
        return hostile if name.startswith("data/sample_inputs/") else data

    with pytest.raises(InputError, match="no exported program"):
        load_program(changed(program, tmp_path / "samples.pt2", samples))
    for member in ("data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/aotinductor/model/x.so"):

        def added(_: str, data: bytes) -> bytes:
            return data

        added.also = {member: hostile}
        with pytest.raises(InputError, match="refused"):
            load_program(changed(program, tmp_path / "member.pt2", added))
    assert not ran.exists()


def test_a_damaged_program_is_refused(program, tmp_path):
    """Cut short, not a zip, without a program, missing."""
    (tmp_path / "short.pt2").write_bytes(program.read_bytes()[:500])
    (tmp_path / "text.pt2").write_text("no program")
    changed(program, tmp_path / "none.pt2", lambda name, data: None if name.startswith("models/") else data)
    for name in ("short", "text", "none", "missing"):
        with pytest.raises(InputError, match=rf"{name}\.pt2"):
            load_program(tmp_path / f"{name}.pt2")


def test_ordinary_operators_are_let_through():
    """Those of torch and its extensions, arithmetic of sizes, and nothing below torch that is no operator."""
    for name in ("torch.ops.aten.add.Tensor", "torch.ops.torchvision.nms.default", "_operator.mul", "torch.sym_max"):
        assert OPERATOR.fullmatch(name), name
    for name in ("torch.ops.load_library", "torch.load", "torch.ops.aten", "math.__loader__.x", "_operator.call"):
        assert not OPERATOR.fullmatch(name), name


def test_without_torch_the_extra_is_named(here, tmp_path, monkeypatch, capsys):
    """One sentence with the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["plan", f"{MODULE}:Net", "--example-input", "1x3x8x8", "--out", str(tmp_path / "p")]) == 2
    assert "pip install 'partway[torch]'" in capsys.readouterr().err
    with pytest.raises(MissingPackage, match=r"partway\[torch\]"):
        export("x.pt2", tmp_path / "x.onnx")


def test_options_for_modules_are_for_modules(tmp_path, capsys):
    """--weights, --example-input and --random-weights with another kind of model say what they are for."""
    assert main(["cuts", "model.onnx", "--example-input", "1x3"]) == 2
    assert "are for PyTorch modules" in capsys.readouterr().err
    assert main(["cuts", "model.onnx", "--random-weights"]) == 2
    assert "models by name" in capsys.readouterr().err
    assert main(["cuts", "nowhere_to_be_found:Net", "--example-input", "1x3"]) == 2
    assert "no Python module 'nowhere_to_be_found'" in capsys.readouterr().err
