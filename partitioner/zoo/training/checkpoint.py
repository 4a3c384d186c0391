"""Everything a training run must remember between epochs, and its checkpoint file.

The checkpoint is read with ``weights_only=True``: it can hold tensors and plain values, never code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.errors import InputError
from partway.partitioner.zoo.training.model import torch_network
from partway.partitioner.zoo.training.record import Epoch
from partway.system.atomic_write import write_atomically

if TYPE_CHECKING:
    import torch

PEAK_LEARNING_RATE = 0.004
WEIGHT_DECAY = 0.02
_FORMAT = 1


@dataclass(frozen=True)
class Identity:
    """What must be equal for one run to continue another."""

    seed: int
    batch: int
    digests: Mapping[str, str]


@dataclass
class State:
    """A run in progress. ``average`` holds the smoothed weights, the ones that are evaluated and exported."""

    network: torch.nn.Sequential
    average: torch.nn.Sequential
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    steps: int = 0
    history: list[Epoch] = field(default_factory=list)


def fresh_state(seed: int, device: str) -> State:
    """The state before the first step; equal seeds give equal weights on every device."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = torch_network()
    average = torch_network()
    average.load_state_dict(network.state_dict())
    network.to(device)
    average.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    return State(network, average.eval(), optimizer, torch.Generator().manual_seed(seed))


def save_state(state: State, identity: Identity, path: Path) -> None:
    """Write the checkpoint, whole or not at all."""
    import torch

    content = {
        "format": _FORMAT,
        "identity": _plain(identity),
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "generator": state.generator.get_state(),
        "steps": state.steps,
        "history": [asdict(epoch) for epoch in state.history],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(identity: Identity, device: str, path: Path) -> State:
    """The run a checkpoint holds. Raises InputError when it is damaged or is of another run."""
    content = _loaded(path)
    try:
        if content["format"] == _FORMAT and content["identity"] != _plain(identity):
            raise InputError(
                f"{path} is of a run with another seed, batch or data set; pass --fresh to start over, or another --out"
            )
        return _restored(content, fresh_state(identity.seed, device))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise _damaged(path) from error


def _restored(content: Mapping[str, Any], state: State) -> State:
    state.network.load_state_dict(content["network"])
    state.average.load_state_dict(content["average"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.generator.set_state(content["generator"])
    state.steps = int(content["steps"])
    state.history = [Epoch(**epoch) for epoch in content["history"]]
    return state


def _loaded(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"the checkpoint {path} cannot be used (damaged, or of another version); pass --fresh to start over"
    )


def _plain(identity: Identity) -> dict[str, Any]:
    return {"seed": identity.seed, "batch": identity.batch, "digests": dict(identity.digests)}
