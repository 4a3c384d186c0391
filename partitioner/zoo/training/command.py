"""``partway train mnist``: train the digit model from the published data and export it as ONNX.

torch and onnx are imported only when training begins, so that the command line works without them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.partitioner.zoo.training.data import Fetch, Mnist, download, read_mnist
from partway.partitioner.zoo.training.record import (
    BATCH,
    DEVICES,
    EPOCHS,
    SEED,
    Epoch,
    TrainOptions,
    TrainRecord,
)

if TYPE_CHECKING:
    from partway.partitioner.zoo.training.checkpoint import Identity, State

Report = Callable[[str], None]

NEEDED = ("torch", "onnx", "onnxruntime")

CHECKPOINT_NAME = "checkpoint.pt"


def train_mnist(options: TrainOptions, report: Report, fetch: Fetch = download) -> TrainRecord:
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
    _train(state, options, data, device, report)
    record = exported(state, options, data, device, begin_s)
    report(f"wrote {options.out / MODEL_NAME} ({record.onnx_bytes:,} bytes, {record.parameters:,} parameters)")
    report(record.summary())
    return record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``partway train mnist``."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for model and record")
    parser.add_argument("--epochs", type=_positive, default=EPOCHS, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=_natural, default=SEED, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=_positive, default=BATCH, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: a GPU if there is one")
    parser.add_argument("--fresh", action="store_true", help="ignore a checkpoint in --out and start over")
    parser.add_argument("--json", action="store_true", help="print the record as JSON, and progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Train as the parsed arguments say; returns the exit code."""
    fields = ("data", "out", "epochs", "seed", "batch", "device")
    options = TrainOptions(**{name: getattr(args, name) for name in fields}, resume=not args.fresh)
    target = sys.stderr if args.json else sys.stdout

    def report(line: str) -> None:
        target.write(line + "\n")
        target.flush()

    record = train_mnist(options, report)
    if args.json:
        sys.stdout.write(json.dumps(record.to_json(), indent=2) + "\n")
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**63 - 1")
    return int(text)


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
    """The state to go on from. A new one is saved at once: a folder that cannot be written shows before the work."""
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


def _train(state: State, options: TrainOptions, data: Mnist, device: str, report: Report) -> None:
    """The remaining epochs, each followed by a checkpoint and a line of figures."""
    from partway.partitioner.zoo.training.checkpoint import save_state
    from partway.partitioner.zoo.training.epoch import Course, samples, train_epoch

    train, test = samples(data.train, device), samples(data.test, device)
    course = Course(train, test, options.batch, options.epochs)
    while (done := len(state.history)) < options.epochs:
        with _progress(f"epoch {done + 1}/{options.epochs}", len(train)) as advance:
            train_epoch(state, course, advance)
        save_state(state, _identity(options, data), options.out / CHECKPOINT_NAME)
        report(_line(state.history[-1], done + 1, options.epochs))


def _line(epoch: Epoch, number: int, epochs: int) -> str:
    return (
        f"epoch {number:{len(str(epochs))}d}/{epochs}: training loss {epoch.train_loss:.4f}, test loss "
        f"{epoch.test_loss:.4f}, test accuracy {100 * epoch.test_accuracy:.2f}%, {epoch.duration_s:.1f} s"
    )


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while one epoch runs, where stderr is a terminal; it leaves nothing behind."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
