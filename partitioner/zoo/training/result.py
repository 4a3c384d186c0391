"""Write the results of a finished run: the checked model file and its record."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import numpy as np
import torch

from partway.partitioner.zoo.training.checkpoint import State
from partway.partitioner.zoo.training.data import Mnist
from partway.partitioner.zoo.training.export import onnx_model
from partway.partitioner.zoo.training.parity import largest_difference, mean_loss, network_input, onnx_logits
from partway.partitioner.zoo.training.record import TrainOptions, TrainRecord, command_line
from partway.system.atomic_write import write_atomically

Array = np.ndarray[Any, Any]

MODEL_NAME = "mnist.onnx"
RECORD_NAME = "training.json"

_COMPARED = 1000


def exported(state: State, options: TrainOptions, data: Mnist, device: str, begin_s: float) -> TrainRecord:
    """Write model and record into ``options.out``; loss and accuracy are those of the written file.

    ``begin_s`` is when the run began on time.perf_counter's clock. Raises PartwayError when the file and the
    trained network disagree.
    """
    network = state.average.cpu()
    model = onnx_model({name: tensor.numpy() for name, tensor in network.state_dict().items()}).SerializeToString()
    logits = onnx_logits(model, data.test.images)
    difference = largest_difference(_torch_logits(network, data.test.images[:_COMPARED]), logits[:_COMPARED])
    correct = int((logits.argmax(axis=1) == data.test.labels).sum())
    record = TrainRecord(
        command=command_line(options),
        seed=options.seed,
        epochs=options.epochs,
        batch=options.batch,
        device=device,
        threads=torch.get_num_threads(),
        history=tuple(state.history),
        test_images=len(data.test),
        correct=correct,
        loss=mean_loss(logits, data.test.labels),
        accuracy=correct / len(data.test),
        onnx_sha256=hashlib.sha256(model).hexdigest(),
        onnx_bytes=len(model),
        largest_logit_difference=difference,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        torch_version=torch.__version__,
        dataset_sha256=dict(data.digests),
        duration_s=time.perf_counter() - begin_s,
    )
    write_atomically(options.out / MODEL_NAME, model)
    write_atomically(options.out / RECORD_NAME, (json.dumps(record.to_json(), indent=2) + "\n").encode())
    return record


def _torch_logits(network: torch.nn.Sequential, images: Array) -> Array:
    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(network_input(images))).numpy())
