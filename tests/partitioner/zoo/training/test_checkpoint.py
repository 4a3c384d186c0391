"""Checkpoints of a training run: resumed, refused, damaged."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.mnist_files import no_network, quiet

from partway.errors import InputError
from partway.partitioner.zoo.training.train import train_mnist


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
