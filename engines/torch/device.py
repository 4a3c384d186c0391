"""The interface between the program runner and a device, and the CPU as its simplest implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]
Fetch = Callable[[], list[Array]]
Work = Callable[[], Sequence[Tensor]]


class TorchDevice(Protocol):
    """A device to compute on. Everything inside ``working`` runs in order on it."""

    @property
    def torch(self) -> Any:
        """torch's name for it."""

    @property
    def captures(self) -> bool:
        """Whether work of fixed shapes is recorded once and replayed."""

    def working(self) -> Any:
        """A context manager: this thread alone gives the device work."""

    def upload(self, arrays: Sequence[Array]) -> list[Tensor]:
        """The arrays on the device; good until the next ``working`` but one."""

    def capture(self, work: Work) -> tuple[Callable[[], None], Sequence[Tensor]]:
        """Record work. Returns a function that repeats it, and the tensors that receive the results each time."""

    def download(self, tensors: Sequence[Tensor]) -> Fetch:
        """Start copying tensors to the host; the returned function waits and gives arrays that the caller owns."""

    def free(self) -> None:
        """Give back memory that nothing uses."""


class Cpu:
    """The processor: nothing to move, nothing to wait for. ``captures`` only to try the runner without a GPU."""

    def __init__(self, captures: bool = False) -> None:
        self.torch: Any = torch.device("cpu")
        self.captures = captures

    @contextmanager
    def working(self) -> Iterator[None]:
        """Several threads may compute at once."""
        yield

    def upload(self, arrays: Sequence[Array]) -> list[Tensor]:
        """The arrays' own memory, where torch can read it."""
        return [torch.from_numpy(_readable(array)) for array in arrays]

    def capture(self, work: Work) -> tuple[Callable[[], None], Sequence[Tensor]]:
        """Each repetition runs the work again and copies the results into the same tensors."""
        outputs = [tensor.clone() for tensor in work()]

        def repeat() -> None:
            for mine, new in zip(outputs, work(), strict=True):
                mine.copy_(new)

        return repeat, outputs

    def download(self, tensors: Sequence[Tensor]) -> Fetch:
        """The tensors are on the host already."""
        arrays = [tensor.numpy() for tensor in tensors]
        return lambda: arrays

    def free(self) -> None:
        """Nothing to do: the allocator returns memory by itself."""


def _readable(array: Array) -> Array:
    """In this machine's byte order, in C order, and writable: torch warns of what is not, though nothing writes."""
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if native.flags.writeable and native.flags.c_contiguous and native.flags.aligned:
        return native
    return native.copy(order="C")
