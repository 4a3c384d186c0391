"""Training on a few hundred made-up digits: seconds, but every step of the real thing."""

import struct
from dataclasses import replace

import pytest
from tests.support.mnist_files import no_network, quiet, write_mnist

from partway.errors import InputError
from partway.partitioner.zoo.idx import read_idx
from partway.partitioner.zoo.training.record import TrainOptions
from partway.partitioner.zoo.training.train import train_mnist


def test_an_unwritable_folder_shows_before_training(torch, options):
    """Where --out is a file, the answer is one sentence and no epoch has run."""
    options.out.write_text("in the way")
    lines: list[str] = []
    with pytest.raises(InputError, match="choose a folder you may write to"):
        train_mnist(options, lines.append, no_network)
    assert not lines


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
