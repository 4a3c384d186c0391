"""Train the digit model from the published data and export it as ONNX.

torch and onnx are imported only when training begins, so that ``partway train`` works without them.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.partitioner.zoo.training.data import Fetch, Mnist, download, read_mnist
from partway.partitioner.zoo.training.record import (
    DEVICES,
    Epoch,
    TrainOptions,
    TrainRecord,
)

if TYPE_CHECKING:
    from partway.partitioner.zoo.training.checkpoint import Identity, State

Report = Callable[[str], None]
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""A context for work of this title and total; it gives a function to call with each share that is complete."""

NEEDED = ("torch", "onnx", "onnxruntime")

CHECKPOINT_NAME = "checkpoint.pt"


def silent(title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """No progress is shown."""
    return nullcontext(lambda count: None)


def train_mnist(
    options: TrainOptions, report: Report, fetch: Fetch = download, progress: Progress = silent
) -> TrainRecord:
    """Train, or continue where a checkpoint in ``options.out`` stopped; export, check and record the result.

    Raises InputError when a package, the data or the GPU is missing, or the checkpoint is of no use.
    """
    _require_packages()
    from partway.partitioner.zoo.training.result import MODEL_NAME, exported

    device = _device(options.device)
    begin_s = time.perf_counter()
    data = read_mnist(options.data, report, fetch)
    state = _begun(options, _identity(options, data), device, report)
    begin_s -= sum(epoch.duration_s for epoch in state.history)
    _train(state, options, data, device, report, progress)
    record = exported(state, options, data, device, begin_s)
    report(f"wrote {options.out / MODEL_NAME} ({record.onnx_bytes:,} bytes, {record.parameters:,} parameters)")
    report(record.summary())
    return record


def _require_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {', '.join(missing)}; install with: pip install 'partway[torch,partition]'")


def _device(name: str) -> str:
    import torch

    if name not in DEVICES:
        raise InputError(f"unknown device {name!r}; choose one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("torch sees no CUDA GPU on this machine; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _identity(options: TrainOptions, data: Mnist) -> Identity:
    from partway.partitioner.zoo.training.checkpoint import Identity

    return Identity(options.seed, options.batch, data.digests)


def _begun(options: TrainOptions, identity: Identity, device: str, report: Report) -> State:
    """The state to continue from. A new one is saved at once, so that an unwritable folder is found before the work."""
    from partway.partitioner.zoo.training.checkpoint import fresh_state, load_state, save_state

    path = options.out / CHECKPOINT_NAME
    if not options.resume or not path.exists():
        state = fresh_state(options.seed, device)
        save_state(state, identity, path)
        return state
    state = load_state(identity, device, path)
    done = len(state.history)
    if done > options.epochs:
        raise InputError(f"{path} has {done} epochs already; pass --epochs {done} or more, or --fresh")
    report(f"continuing after epoch {done} of {options.epochs}, from {path}")
    return state


def _train(state: State, options: TrainOptions, data: Mnist, device: str, report: Report, progress: Progress) -> None:
    """The remaining epochs, each followed by a checkpoint and a line of figures."""
    from partway.partitioner.zoo.training.checkpoint import save_state
    from partway.partitioner.zoo.training.epoch import Course, samples, train_epoch

    train, test = samples(data.train, device), samples(data.test, device)
    course = Course(train, test, options.batch, options.epochs)
    while (done := len(state.history)) < options.epochs:
        with progress(f"epoch {done + 1}/{options.epochs}", len(train)) as advance:
            train_epoch(state, course, advance)
        save_state(state, _identity(options, data), options.out / CHECKPOINT_NAME)
        report(_line(state.history[-1], done + 1, options.epochs))


def _line(epoch: Epoch, number: int, epochs: int) -> str:
    return (
        f"epoch {number:{len(str(epochs))}d}/{epochs}: training loss {epoch.train_loss:.4f}, test loss "
        f"{epoch.test_loss:.4f}, test accuracy {100 * epoch.test_accuracy:.2f}%, {epoch.duration_s:.1f} s"
    )
