"""Exported programs in .pt2 files, sound and hostile."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from tests.support.torch_project import SIDE, Hostile

import partway
from partway.cli.main import main
from partway.errors import InputError
from partway.partitioner.formats.pytorch.pt2 import OPERATOR, load_program
from partway.partitioner.plan.plan_file import load_plan

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


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
