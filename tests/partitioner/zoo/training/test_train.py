"""Training on a few hundred made-up digits: seconds, but every step of the real thing."""

import gzip
import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.mnist_files import write_mnist

from partway.errors import InputError, PartwayError
from partway.partitioner.zoo.idx import read_idx
from partway.partitioner.zoo.training import data as mnist_data
from partway.partitioner.zoo.training.data import MD5, read_mnist
from partway.partitioner.zoo.training.record import TrainOptions, command_line
from partway.partitioner.zoo.training.train import train_mnist

VALUES = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "conv4", "relu4", "conv5", "relu5"]
VALUES += ["pool5", "flatten", "fc1", "relu_fc1", "logits"]


def no_network(address: str) -> bytes:
    raise OSError(f"no route to {address.split('/')[2]}")


def quiet(line: str) -> None:
    """Nobody listens."""


@pytest.fixture
def options(tmp_path):
    """Two short epochs on the made-up set."""
    data = write_mnist(tmp_path / "mnist")
    return TrainOptions(data=data, out=tmp_path / "out", epochs=2, batch=32, device="cpu")


@pytest.fixture
def torch():
    """The tests that train are skipped where torch or onnx is missing."""
    pytest.importorskip("onnx")
    return pytest.importorskip("torch")


def test_reads_plain_and_gzipped_files(tmp_path):
    """Both spellings of a file will do, and the digests are of the content, not of the compression."""
    folder = write_mnist(tmp_path / "a")
    first = read_mnist(folder, quiet, no_network)
    packed = folder / "train-images-idx3-ubyte.gz"
    (folder / "train-images.idx3-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(first.train) == 256
    assert len(first.test) == 64
    assert read_mnist(folder, quiet, no_network).digests == first.digests


def test_missing_data_without_network_is_one_sentence(tmp_path):
    """It names the file and every mirror tried, and says where to put the files."""
    with pytest.raises(InputError) as caught:
        read_mnist(tmp_path / "none", quiet, no_network)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in ("amazonaws.com", "googleapis.com", "by hand", *MD5))


def test_the_real_download_fails_with_oserror_only(monkeypatch):
    """Whatever urllib meets on the way, callers see OSError."""
    import http.client
    import urllib.request

    def broken(*_: object, **__: object) -> None:
        raise http.client.RemoteDisconnected("gone")

    monkeypatch.setattr(urllib.request, "urlopen", broken)
    with pytest.raises(OSError, match="gone"):
        mnist_data.download("https://localhost/x")


def test_missing_files_are_fetched_checked_and_kept(tmp_path, monkeypatch):
    """A mirror that lies is passed over, the next one is believed, and nothing is fetched twice."""
    source, folder = write_mnist(tmp_path / "source"), tmp_path / "new" / "data"
    packed = {name: gzip.compress(raw(source, name), 1) for name in MD5}
    monkeypatch.setattr(mnist_data, "MD5", {name: hashlib.md5(body).hexdigest() for name, body in packed.items()})
    lines: list[str] = []

    def fetch(address: str) -> bytes:
        name = address.rsplit("/", 1)[1].removesuffix(".gz")
        return b"an error page" if "amazonaws" in address else packed[name]

    fetched = read_mnist(folder, lines.append, fetch)
    assert fetched.digests == read_mnist(source, quiet, no_network).digests
    assert fetched.digests == read_mnist(folder, quiet, no_network).digests
    assert len(lines) == 8
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in MD5)


def raw(folder: Path, name: str) -> bytes:
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()


def test_a_wrong_download_is_never_kept(tmp_path):
    """A file whose MD5 differs from the published one is refused, and the folder stays empty."""
    with pytest.raises(InputError, match="MD5"):
        read_mnist(tmp_path, quiet, lambda _: b"an error page")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["labels", "shape", "range"])
def test_files_that_are_not_mnist_are_refused(tmp_path, damage):
    """Too few labels, other image sizes and labels above 9 are told before training begins."""
    folder = write_mnist(tmp_path / "mnist")
    path, count = folder / "train-labels-idx1-ubyte", 256
    if damage == "shape":
        path = folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(struct.pack(">4I", 0x803, count, 14, 56) + bytes(count * 784))
    elif damage == "labels":
        path.write_bytes(struct.pack(">2I", 0x801, 7) + bytes(7))
    else:
        path.write_bytes(struct.pack(">2I", 0x801, count) + b"\x0a" * count)
    with pytest.raises(InputError, match="are not MNIST"):
        read_mnist(folder, quiet, no_network)


def test_trains_exports_and_records(torch, options):
    """Two epochs leave a checkpoint, a model and a record that agree with each other."""
    lines: list[str] = []
    record = train_mnist(options, lines.append, no_network)
    written = json.loads((options.out / "training.json").read_text())
    assert written == json.loads(json.dumps(record.to_json()))
    assert written["onnx_sha256"] == hashlib.sha256((options.out / "mnist.onnx").read_bytes()).hexdigest()
    assert written["command"] == "partway train mnist --data DIR --out DIR --seed 1 --epochs 2 --batch 32"
    assert [len(written["history"]), written["epochs"], written["test_images"]] == [2, 2, 64]
    assert (
        lines[-1] == f"Test set: average loss {record.loss:.4f}, accuracy {record.correct}/64 ({record.accuracy:.2%})"
    )
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert sorted(path.name for path in options.out.iterdir()) == ["checkpoint.pt", "mnist.onnx", "training.json"]


def test_the_exported_file_is_made_to_be_read(torch, options):
    """Every value has its layer's name and a recorded shape, the batch is free, and nothing but weights is stored."""
    import onnx

    train_mnist(replace(options, epochs=1), quiet, no_network)
    graph = onnx.load(options.out / "mnist.onnx").graph
    assert [node.output[0] for node in graph.node] == VALUES
    assert {value.name for value in graph.value_info} == set(VALUES[:-1])
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)} == {"batch"}
    assert {tensor.name.rsplit(".", 1)[1] for tensor in graph.initializer} == {"weight", "bias"}
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(torch, options):
    """One epoch, stop, resume: the same model to the last bit as two epochs at a stretch."""
    straight = train_mnist(options, quiet, no_network)
    out = options.out.with_name("stopped")
    with pytest.raises(KeyboardInterrupt):
        train_mnist(replace(options, out=out), stop_after_first_epoch, no_network)
    lines: list[str] = []
    resumed = train_mnist(replace(options, out=out), lines.append, no_network)
    assert lines[0].startswith("continuing after epoch 1 of 2")
    assert resumed.onnx_sha256 == straight.onnx_sha256


def stop_after_first_epoch(line: str) -> None:
    if line.startswith("epoch 1"):
        raise KeyboardInterrupt


def test_another_seed_makes_another_model(torch, options):
    """The seed matters; a checkpoint of another seed is refused unless --fresh is given."""
    one = replace(options, epochs=1)
    first = train_mnist(one, quiet, no_network)
    with pytest.raises(InputError, match=r"another seed.*--fresh"):
        train_mnist(replace(one, seed=2), quiet, no_network)
    second = train_mnist(replace(one, seed=2, resume=False), quiet, no_network)
    assert first.onnx_sha256 != second.onnx_sha256


def test_a_finished_run_is_exported_again_and_not_cut_short(torch, options):
    """Asking for fewer epochs than a checkpoint has is refused; asking for as many only exports."""
    first = train_mnist(options, quiet, no_network)
    assert train_mnist(options, quiet, no_network).onnx_sha256 == first.onnx_sha256
    with pytest.raises(InputError, match="has 2 epochs already"):
        train_mnist(replace(options, epochs=1), quiet, no_network)


def test_an_unwritable_folder_shows_before_training(torch, options):
    """Where --out is a file, the answer is one sentence and no epoch has run."""
    options.out.write_text("in the way")
    lines: list[str] = []
    with pytest.raises(InputError, match="choose a folder you may write to"):
        train_mnist(options, lines.append, no_network)
    assert not lines


@pytest.mark.parametrize("damage", ["cut off", "not a checkpoint", "other content", "code"])
def test_a_corrupted_checkpoint_is_one_sentence(torch, options, damage):
    """Whatever lies in the checkpoint's place, the answer is to start over, and no code in it is run."""
    train_mnist(replace(options, epochs=1), quiet, no_network)
    path = options.out / "checkpoint.pt"
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "not a checkpoint":
        path.write_bytes(b"hello")
    else:
        torch.save({"format": 1} if damage == "other content" else Path, path)
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be used.*--fresh"):
        train_mnist(options, quiet, no_network)
    train_mnist(replace(options, epochs=1, resume=False), quiet, no_network)


def test_the_parity_check_catches_a_wrong_export(torch, options, monkeypatch):
    """A model file with one bias off by a little is not accepted, and not written."""
    from partway.partitioner.zoo.training import export as mnist_export

    def slightly_wrong(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        weights = folded(state)
        return weights | {"fc1.bias": weights["fc1.bias"] + np.float32(0.01)}

    folded = mnist_export.folded
    monkeypatch.setattr(mnist_export, "folded", slightly_wrong)
    with pytest.raises(PartwayError, match="differ from the trained network"):
        train_mnist(replace(options, epochs=1), quiet, no_network)
    assert not (options.out / "mnist.onnx").exists()


def test_augmentation_is_seeded_and_keeps_form(torch):
    """Same generator state, same digits; values stay within 0..1; the ink stays on the picture."""
    from partway.partitioner.zoo.training.augment import augmented

    images = torch.zeros(16, 1, 28, 28)
    images[:, :, 8:20, 12:15] = 1
    one, two = (augmented(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == images.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert ((one - images).abs().sum(dim=(1, 2, 3)) > 1).all()
    assert (one.sum(dim=(1, 2, 3)) > 10).all()


def test_missing_packages_are_named_with_the_extra(options, monkeypatch):
    """Without torch the sentence says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"torch, onnx.*partway\[torch,partition\]"):
        train_mnist(options, quiet, no_network)


def test_a_gpu_that_is_not_there_is_an_input_error(torch, options):
    """Asking for CUDA on a machine without it is answered before anything is read."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    with pytest.raises(InputError, match="no CUDA GPU"):
        train_mnist(replace(options, device="cuda"), quiet, no_network)


def test_the_recorded_command_names_no_folder(tmp_path):
    """Defaults are left out, and the user's paths never get into the record."""
    options = TrainOptions(tmp_path, tmp_path)
    assert command_line(options) == "partway train mnist --data DIR --out DIR --seed 1"
    assert command_line(replace(options, seed=7, epochs=3)).endswith("DIR --seed 7 --epochs 3")


@pytest.mark.slow
def test_two_epochs_on_a_tenth_of_mnist_reads_most_digits(torch, data, tmp_path):
    """6,000 real images twice are enough for nine digits of ten."""
    folder = write_mnist(tmp_path / "mnist")
    for part, count in (("train", 6000), ("t10k", 1000)):
        for kind in ("images-idx3", "labels-idx1"):
            array = read_idx(data / "mnist" / f"{part}-{kind}-ubyte.gz")[:count]
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            for name in (f"{part}-{kind}-ubyte", f"{part}-{kind}-ubyte.gz"):
                (folder / name).write_bytes(head + array.tobytes())
    record = train_mnist(TrainOptions(folder, tmp_path / "out", epochs=2, batch=64), quiet, no_network)
    assert record.accuracy > 0.9
