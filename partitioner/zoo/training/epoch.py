"""One epoch of training, and the measurement after it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partway.partitioner.zoo.training.augment import augmented
from partway.partitioner.zoo.training.checkpoint import PEAK_LEARNING_RATE, State
from partway.partitioner.zoo.training.data import Digits
from partway.partitioner.zoo.training.model import PIXEL_MEAN, PIXEL_STD
from partway.partitioner.zoo.training.record import Epoch

if TYPE_CHECKING:
    import torch

WARM_UP = 0.15
"""The part of the run during which the learning rate rises."""

AVERAGED_STEPS = 200
"""Time constant, in steps, with which the smoothed weights follow the trained ones; shorter at first."""

_EVALUATED_AT_ONCE = 1000


@dataclass(frozen=True)
class Samples:
    """Digits as tensors on the device they are used on: uint8 [count, 1, 28, 28] and int64 [count]."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Course:
    """The settings shared by all epochs of a run: ``epochs`` in total, ``batch`` images per step."""

    train: Samples
    test: Samples
    batch: int
    epochs: int


def samples(digits: Digits, device: str) -> Samples:
    """Digits, moved to a device."""
    import torch

    images = torch.from_numpy(digits.images).unsqueeze(1).to(device)
    return Samples(images, torch.from_numpy(digits.labels).long().to(device))


def learning_rate(progress: float) -> float:
    """The rate at ``progress`` (0 to 1) of the whole run: a linear rise, then half a cosine down to zero."""
    if progress < WARM_UP:
        return PEAK_LEARNING_RATE * progress / WARM_UP
    return PEAK_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def train_epoch(state: State, course: Course, advance: Callable[[int], None]) -> None:
    """One pass over the training images in random order; the state changes, and its history grows by one.

    ``advance`` is told the number of images after each batch.
    """
    import torch

    begin_s, loss_sum, train = time.perf_counter(), 0.0, course.train
    order = torch.randperm(len(train), generator=state.generator)
    batches = torch.split(order, course.batch)
    for number, chosen in enumerate(batches):
        progress = (len(state.history) + (number + 1) / len(batches)) / course.epochs
        loss_sum += _step(state, train, chosen.to(train.labels.device), learning_rate(progress)) * len(chosen)
        advance(len(chosen))
    test_loss, correct = evaluate(state.average, course.test)
    duration_s = time.perf_counter() - begin_s
    state.history.append(Epoch(loss_sum / len(train), test_loss, correct / len(course.test), duration_s))


def evaluate(network: torch.nn.Sequential, test: Samples) -> tuple[float, int]:
    """(mean cross-entropy of one image in nats, images read right) of a network in evaluation mode."""
    import torch
    from torch.nn import functional

    loss_sum, correct = 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(test), _EVALUATED_AT_ONCE):
            piece = slice(first, first + _EVALUATED_AT_ONCE)
            logits, labels = network(normalised(test.images[piece].float() / 255)), test.labels[piece]
            loss_sum += float(functional.cross_entropy(logits, labels, reduction="sum"))
            correct += int((logits.argmax(1) == labels).sum())
    return loss_sum / len(test), correct


def normalised(images: torch.Tensor) -> torch.Tensor:
    """The network's input of images with values 0..1."""
    return (images - PIXEL_MEAN) / PIXEL_STD


def _step(state: State, train: Samples, chosen: torch.Tensor, rate: float) -> float:
    """One optimiser step on the chosen images; returns their mean loss."""
    import torch
    from torch.nn import functional

    state.network.train()
    images = normalised(augmented(train.images[chosen].float() / 255, state.generator))
    logits = state.network(images.contiguous(memory_format=torch.channels_last))
    loss = functional.cross_entropy(logits, train.labels[chosen])
    state.optimizer.zero_grad()
    torch.autograd.backward(loss)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    _follow(state)
    return float(loss.detach())


def _follow(state: State) -> None:
    """Move the smoothed weights a little towards the trained ones; integer counters are copied."""
    import torch

    pace = max(1 / AVERAGED_STEPS, 9 / (10 + state.steps))
    state.steps += 1
    with torch.no_grad():
        pairs = zip(state.average.state_dict().values(), state.network.state_dict().values(), strict=True)
        for smooth, new in pairs:
            if smooth.is_floating_point():
                smooth.lerp_(new, pace)
            else:
                smooth.copy_(new)
