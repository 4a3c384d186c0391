"""ONNX files opened without their weights, whole and damaged."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from tests.support.architectures import ARCHITECTURES, Net, one_operator, wide

from partway.errors import InputError
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.slicing import open_model, read_graph


def test_weights_stay_on_disk(save):
    """Opening a model parses its structure only."""
    net = Net()
    net.op("MatMul", "x", net.weight(500, 500), out="y")
    model = open_onnx(save(net.model([("x", ["N", 500])], [("y", ["N", 500])])))
    assert model.file.weights["w0"].length > 10**6
    assert model.file.proto.ByteSize() < 1000
    assert model.graph.constants["w0"] > 10**6


BAD_FILES = [
    ("missing", None, "cannot read the model .*No such file"),
    ("empty", b"", "is empty; download or export it again"),
    ("text", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    ("zeros", bytes(100), "is not an ONNX model"),
    ("numbers", bytes(range(256)), "not an ONNX model"),
    ("image", b"\x89PNG\r\n\x1a\n" + bytes(64), "is a picture; give it with --input"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_a_file_that_is_no_model_is_one_sentence(name, content, message, tmp_path):
    """Whatever lies in the file."""
    path = tmp_path / f"{name}.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_graph(path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_anywhere_is_an_input_error(save, tmp_path):
    """No prefix of a model file is taken for a model or ends in a traceback."""
    whole = save(ARCHITECTURES["chain"]().model).read_bytes()
    path = tmp_path / "short.onnx"
    for length in range(0, len(whole) - 8, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_graph(path)


def test_random_damage_is_an_input_error_or_a_model(save, tmp_path):
    """A flipped byte never ends in a traceback of another kind."""
    whole = save(one_operator()).read_bytes()
    path = tmp_path / "damaged.onnx"
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            try:
                read_graph(path)
            except InputError as error:
                assert "\n" not in str(error)


@pytest.fixture
def external(tmp_path):
    """A model whose weight lies in a file beside it."""
    net = Net()
    net.op("MatMul", "x", net.weight(64, 64), out="y")
    path = tmp_path / "model.onnx"
    model = net.model([("x", ["N", 64])], [("y", ["N", 64])])
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def rewrite(path, key, value):
    """Change one entry of the external data of the only weight."""
    model = onnx.load(path, load_external_data=False)
    entries = model.graph.initializer[0].external_data
    for entry in list(entries):
        if entry.key == key:
            entries.remove(entry)
    entries.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def test_external_weights_are_found_beside_the_model(external):
    """And counted."""
    assert read_graph(external).constants["w0"] == 64 * 64 * 4


def test_missing_or_short_external_data_is_named(external):
    """Before anything is written."""
    data = external.with_name("weights.bin")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(InputError, match="does not hold the 16384 bytes of `w0`"):
        read_graph(external)
    data.unlink()
    with pytest.raises(InputError, match=r"keeps the data of `w0` in .*weights.bin, which is missing"):
        read_graph(external)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/../../secret", ""])
def test_external_data_outside_the_models_folder_is_refused(external, location):
    """A model from a stranger must not read other files."""
    external.parent.with_name("secret").write_bytes(bytes(16384))
    rewrite(external, "location", location)
    with pytest.raises(InputError, match="outside the folder"):
        read_graph(external)


def test_a_link_out_of_the_folder_is_refused_too(external, tmp_path_factory):
    """The same by another way."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "data"
    elsewhere.write_bytes(bytes(16384))
    external.with_name("weights.bin").unlink()
    external.with_name("weights.bin").symlink_to(elsewhere)
    with pytest.raises(InputError, match="outside the folder"):
        read_graph(external)


@pytest.mark.parametrize(("key", "value"), [("offset", "-5"), ("offset", "x"), ("length", "7"), ("offset", "99999")])
def test_an_entry_that_does_not_fit_the_tensor_is_refused(external, key, value):
    """Offsets and lengths are checked against the file and the shape."""
    rewrite(external, key, value)
    with pytest.raises(InputError, match="w0"):
        read_graph(external)


def test_external_data_in_an_attribute_is_read(tmp_path):
    """A Constant node may keep its numbers outside as well."""
    array = np.arange(64, dtype=np.float32)
    net = Net()
    net.op("Add", "x", net.op("Constant", value=numpy_helper.from_array(array)), out="y")
    model = net.model([("x", ["N", 64])], [("y", ["N", 64])])
    tensor = model.graph.node[0].attribute[0].t
    (tmp_path / "data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="data")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    read = open_onnx(tmp_path / "model.onnx").file.proto.graph.node[0].attribute[0].t
    assert np.array_equal(numpy_helper.to_array(read), array)


def test_without_the_onnx_package_the_error_says_what_to_install():
    """And the partitioner itself imports without it, as the device half does."""
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from pathlib import Path\n"
        "import partway.partitioner.plan.plan, partway.partitioner.cuts.crossing\n"
        "from partway.partitioner.slicing import read_graph\n"
        "from partway.errors import InputError\n"
        "try: read_graph(Path('model.onnx'))\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'partway[partition]'" in done.stdout


def test_the_digest_of_a_model_covers_its_data_files(tmp_path):
    """Another weight, another model."""
    path = tmp_path / "model.onnx"
    onnx.save(wide(2, 64), path, save_as_external_data=True, size_threshold=0, location="data")
    before = open_model(path).digest
    content = bytearray((tmp_path / "data").read_bytes())
    content[100] ^= 1
    (tmp_path / "data").write_bytes(content)
    assert open_model(path).digest != before
