"""The record of a training run."""

from dataclasses import replace

from partway.partitioner.zoo.training.record import TrainOptions, command_line


def test_the_recorded_command_names_no_folder(tmp_path):
    """Defaults are left out, and the user's paths never get into the record."""
    options = TrainOptions(tmp_path, tmp_path)
    assert command_line(options) == "partway train mnist --data DIR --out DIR --seed 1"
    assert command_line(replace(options, seed=7, epochs=3)).endswith("DIR --seed 7 --epochs 3")
