"""Real files and broken ones: what the reader makes of them."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.support.architectures import ARCHITECTURES, Net

from partway.errors import InputError
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.formats.onnx.reader import open_onnx
from partway.partitioner.slicing import read_graph


@pytest.fixture
def save(tmp_path):
    """Write a model to a file."""

    def saver(model, name="model.onnx", **options):
        path = tmp_path / name
        onnx.save(model, path, **options)
        return path

    return saver


def one_operator(kind="Relu", opset=17, domain="", shape=("N", 4)):
    """The smallest model."""
    node = helper.make_node(kind, ["x"], ["y"], domain=domain)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([node], "net", values[:1], values[1:])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_value_has_the_shape_it_has_when_the_model_runs(name, save):
    """Shapes, dtypes and bytes at batch one are those that ONNX Runtime sees."""
    from tests.support.chains import feeds_for, session

    architecture = ARCHITECTURES[name]()
    graph = read_graph(save(architecture.model), architecture.sizes)
    made = [value for operator in graph.operators for value in operator.outputs]
    spied = onnx.ModelProto()
    spied.CopyFrom(architecture.model)
    del spied.graph.output[:]
    spied.graph.output.extend(onnx.ValueInfoProto(name=value) for value in made)
    one = session(save(spied, "spied.onnx"), plain=True)
    for batch in architecture.batches:
        feeds = feeds_for(architecture.model, architecture.sizes, batch)
        for value, array in zip(made, one.run(made, feeds), strict=True):
            spec = graph.values[value]
            assert spec.accepts(array.shape, array.dtype.name), value
            assert batch > 1 or graph.size_bytes(value) == array.nbytes, value


def test_weights_are_no_inputs_even_where_the_file_lists_them(save):
    """IR 3 lists initialisers among the inputs; an unused one, a mask nobody reads and constant nodes disappear."""
    graph = read_graph(save(ARCHITECTURES["old_file"]().model))
    assert graph.inputs == ("image",)
    assert [operator.kind for operator in graph.operators] == ["Conv", "Relu", "Dropout", "Mul", "Reshape", "Gemm"]
    assert all("unused" not in operator.constants for operator in graph.operators)


def test_what_is_computed_from_constants_is_a_constant(save):
    """A transposed weight is no operator; the operator that uses it depends on the weight."""
    graph = read_graph(save(ARCHITECTURES["constant_branches"]().model))
    assert [operator.kind for operator in graph.operators] == [
        "Conv",
        "Relu",
        "MaxPool",
        "Flatten",
        "MatMul",
        "Relu",
        "Gemm",
    ]
    assert {"w0", "w1"} <= set(graph.operators[4].constants)
    assert graph.outputs == ("y", "fixed")


@pytest.mark.parametrize(("name", "kind", "expected"), [
    ("conditional", "If", {"maxpool2_0", "relu6_0", "greater8_0"}),
    ("loop", "Loop", {"maxpool2_0", "relu4_0"}),
    ("scan", "Scan", {"tanh1_0", "reducemean2_0", "mul3_0"}),
])  # fmt: skip
def test_captured_values_are_inputs_of_the_operator_that_captures_them(name, kind, expected, save):
    """What a body reads from outside must be there, whichever side of a cut it was made on."""
    graph = read_graph(save(ARCHITECTURES[name]().model))
    operator = next(operator for operator in graph.operators if operator.kind == kind)
    assert set(operator.inputs) == expected
    assert operator.constants


def test_an_empty_optional_input_is_no_value(save):
    """The GRU has none, its initial state is left out."""
    graph = read_graph(save(ARCHITECTURES["recurrent"]().model))
    assert "" not in graph.activations
    assert all("" not in operator.inputs for operator in graph.operators)


def test_the_batch_stays_open_and_other_open_dimensions_get_a_size(save):
    """Given ones where there are some, 224 pixels and 3 channels otherwise."""
    path = save(ARCHITECTURES["mobile"]().model)
    assert read_graph(path).values["image"].shape == (None, 3, 224, 224)
    assert read_graph(path, {"image": (None, 3, 16, 24)}).values["relu1_0"].shape == (None, 4, 8, 12)


def test_a_dimension_that_merges_the_batch_with_another_is_open_and_its_bytes_are_right(save):
    """Batch times heads is no multiple of one at batch one."""
    net = Net()
    x = net.op("Reshape", "x", net.constant(np.array([-1, 4], np.int64)))
    net.op("Reshape", net.op("MatMul", x, net.weight(4, 4)), net.constant(np.array([-1, 24], np.int64)), out="y")
    graph = read_graph(save(net.model([("x", ["batch", 24])], [("y", ["batch", 24])])))
    assert graph.values["matmul1_0"].shape == (None, 4)
    assert graph.size_bytes("matmul1_0") == 6 * 4 * 4


def test_missing_shapes_are_found_by_running_the_model(save):
    """ONNX Runtime's own operators have no shape inference in the onnx package."""
    node = helper.make_node("Gelu", ["x"], ["g"], domain="com.microsoft")
    end = helper.make_node("Relu", ["g"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node, end], "net", values[:1], values[1:]), opset_imports=opsets)
    model.ir_version = 8
    assert read_graph(save(model)).values["g"].shape == (None, 4)


def test_a_model_that_runs_at_batch_one_only_is_read_for_batch_one(save):
    """The exporter wrote a fixed batch into a Reshape; the plan says so instead of failing later."""
    net = Net()
    net.op("Reshape", net.op("Relu", "x"), net.constant(np.array([1, 2, 2], np.int64)), out="r")
    net.op("Tanh", "r", out="y")
    graph = read_graph(save(net.model([("x", ["N", 4])], [("y", ["N", 2, 2])])))
    assert graph.values["x"].shape == (1, 4)


def test_a_shape_that_depends_on_the_data_is_never_sent(save):
    """NonZero's output is as long as its input has non-zeros; cuts avoid it."""
    net = Net()
    where = net.op("NonZero", net.op("Relu", "x"))
    net.op("Cast", net.op("Transpose", where), to=1, out="y")
    graph = read_graph(save(net.model([("x", ["N", 4])], [("y", ["count", 2])])))
    assert "nonzero1_0" in graph.local
    assert graph.values["y"].shape == (None, None)
    assert [frontier.cut.values for frontier in legal_cuts(graph)] == [("relu0_0",)]


def test_nodes_out_of_order_are_put_in_order(save):
    """Some tools append nodes at the end; a circle is an error."""
    model = ARCHITECTURES["chain"]().model
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert read_graph(save(model)).operators[-1].outputs == ("logits",)
    model.graph.node[-1].input[0] = "logits"
    with pytest.raises(InputError, match="in a circle"):
        read_graph(save(model))


def test_names_that_are_missing_or_given_twice_become_unique(save):
    """Operators can be told apart whatever the exporter did."""
    model = ARCHITECTURES["chain"]().model
    for at, node in enumerate(model.graph.node):
        node.name = "same" if at % 2 else ""
    names = [operator.name for operator in read_graph(save(model)).operators]
    assert len(set(names)) == len(names)


def test_weights_stay_on_disk(save):
    """Opening a model parses its structure only."""
    net = Net()
    net.op("MatMul", "x", net.weight(500, 500), out="y")
    model = open_onnx(save(net.model([("x", ["N", 500])], [("y", ["N", 500])])))
    assert model.file.weights["w0"].length > 10**6
    assert model.file.proto.ByteSize() < 1000
    assert model.graph.constants["w0"] > 10**6


def test_every_supported_opset_is_read(save):
    """From 7 to the newest that the onnx package knows."""
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        model = one_operator(opset=opset)
        assert read_graph(save(model)).operators[0].kind == "Relu"


BAD_FILES = [
    ("missing", None, "cannot read the model .*No such file"),
    ("empty", b"", "it is empty"),
    ("text", b"version https://git-lfs.github.com/spec/v1\n", "is not an ONNX model"),
    ("zeros", bytes(100), "is not an ONNX model"),
    ("numbers", bytes(range(256)), "not an ONNX model"),
    ("image", b"\x89PNG\r\n\x1a\n" + bytes(64), "not an ONNX model"),
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


@pytest.mark.parametrize(("model", "message"), [
    (one_operator(opset=6), "opset 6, Partway reads 7 to"),
    (one_operator(opset=1000), "opset 1000.*newer onnx"),
    (one_operator("Frobnicate"), "operator Frobnicate, which opset 17 does not have"),
    (one_operator("Mine", domain="my.company"), "operator Mine of the domain 'my.company'"),
    (one_operator(shape=None), "`x` declares no shape; give it one"),
])  # fmt: skip
def test_a_model_that_cannot_be_split_says_why(model, message, save):
    """One sentence for each."""
    with pytest.raises(InputError, match=message) as caught:
        read_graph(save(model))
    assert "\n" not in str(caught.value)


def test_a_value_that_nothing_makes_is_named(save):
    """A broken graph is refused before anything runs."""
    model = one_operator()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(InputError, match="reads `nowhere`, which nothing"):
        read_graph(save(model))


def test_shapes_that_cannot_be_found_are_an_input_error(save):
    """Inference cannot tell and the model does not run: the sentence says both."""
    net = Net()
    shape = net.op("Cast", net.op("Add", "x", net.constant(np.float32(5))), to=TensorProto.INT64)
    net.op("Reshape", "x", shape, out="y")
    with pytest.raises(InputError, match=r"shape of `y` .* cannot be found, and running"):
        read_graph(save(net.model([("x", [4])], [("y", ["many"])])))


def test_inputs_that_are_no_tensors_of_numbers_are_refused(save):
    """Strings and sequences cannot be sent."""
    model = one_operator("Identity")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(InputError, match="not a tensor of numbers"):
        read_graph(save(model))


def test_wrong_sizes_are_refused(save):
    """A size for an input that does not exist, for a dimension that is fixed, or of another rank."""
    path = save(ARCHITECTURES["mobile"]().model)
    for sizes, message in (
        ({"picture": (1,)}, "no input `picture`; it has image"),
        ({"image": (None, 4, 16, 16)}, "dimension 1 of `image` is 3 in the model, not 4"),
        ({"image": (16, 16)}, "4 dimensions, 2 were given"),
    ):
        with pytest.raises(InputError, match=message):
            read_graph(path, sizes)


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
