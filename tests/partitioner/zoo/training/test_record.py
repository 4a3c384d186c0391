"""The record of a training run."""

import json
from dataclasses import replace

import pytest

from partway.partitioner.zoo.training.record import Epoch, TrainOptions, TrainRecord, command_line


def test_the_recorded_command_names_no_folder(tmp_path):
    """Defaults are left out, and the user's paths never get into the record."""
    options = TrainOptions(tmp_path, tmp_path)
    assert command_line(options) == "partway train mnist --data DIR --out DIR --seed 1"
    assert command_line(replace(options, seed=7, epochs=3)).endswith("DIR --seed 7 --epochs 3")


def made(**changes) -> TrainRecord:
    """The record of a short run."""
    history = (Epoch(0.5, 0.25, 0.9, 1.5), Epoch(0.25, 0.125, 0.95, 1.5))
    record = TrainRecord(
        "partway train mnist", 1, 2, 256, "cpu", 4, history, 10_000, 9876, 0.0432, 0.9876, "0" * 64, 100, 1e-5, 1000,
        "2.0", {"train": "1" * 64}, 3.0,
    )  # fmt: skip
    return replace(record, **changes)


def test_a_record_goes_to_json_with_its_history():
    """Plain values that come back as they were."""
    data = json.loads(json.dumps(made().to_json()))
    assert data["history"][1] == {"train_loss": 0.25, "test_loss": 0.125, "test_accuracy": 0.95, "duration_s": 1.5}
    assert (data["correct"], data["dataset_sha256"]) == (9876, {"train": "1" * 64})
    assert TrainRecord(**{**data, "history": tuple(Epoch(**epoch) for epoch in data["history"])}) == made()


def test_the_result_is_one_line():
    """Loss, how many were right, and the share of them."""
    assert made().summary() == "Test set: average loss 0.0432, accuracy 9876/10000 (98.76%)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, []), ({"epochs": 3}, ["--epochs 3"]), ({"batch": 64}, ["--batch 64"]), ({"device": "cpu"}, [])],
)
def test_the_command_repeats_the_run(tmp_path, changes, words):
    """Whatever is not the default and changes the model is in it."""
    expected = " ".join(["partway train mnist --data DIR --out DIR --seed 1", *words])
    assert command_line(replace(TrainOptions(tmp_path, tmp_path), **changes)) == expected
