"""The options of a training run, and the record of its model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EPOCHS = 20
BATCH = 256
SEED = 1
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the training images. Losses are mean cross-entropies in nats."""

    train_loss: float
    test_loss: float
    test_accuracy: float
    duration_s: float


@dataclass(frozen=True)
class TrainOptions:
    """What to train. ``data`` holds the MNIST files; ``out`` gets checkpoint, model and record."""

    data: Path
    out: Path
    epochs: int = EPOCHS
    seed: int = SEED
    batch: int = BATCH
    device: str = "auto"
    resume: bool = True


@dataclass(frozen=True)
class TrainRecord:
    """The record of a trained model. ``loss`` (nats) and ``accuracy`` (0 to 1) are those of the exported file."""

    command: str
    seed: int
    epochs: int
    batch: int
    device: str
    threads: int
    history: tuple[Epoch, ...]
    test_images: int
    correct: int
    loss: float
    accuracy: float
    onnx_sha256: str
    onnx_bytes: int
    largest_logit_difference: float
    parameters: int
    torch_version: str
    dataset_sha256: dict[str, str]
    duration_s: float

    def to_json(self) -> dict[str, Any]:
        """The content of training.json."""
        return asdict(self)

    def summary(self) -> str:
        """The result in one line."""
        return (
            f"Test set: average loss {self.loss:.4f}, "
            f"accuracy {self.correct}/{self.test_images} ({100 * self.accuracy:.2f}%)"
        )


def command_line(options: TrainOptions) -> str:
    """The command that repeats a run, its folders left to the reader."""
    parts = ["partway train mnist --data DIR --out DIR", f"--seed {options.seed}"]
    if options.epochs != EPOCHS:
        parts.append(f"--epochs {options.epochs}")
    if options.batch != BATCH:
        parts.append(f"--batch {options.batch}")
    return " ".join(parts)
