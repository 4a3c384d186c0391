"""An NVIDIA GPU: CUDA graphs, a ring of pinned memory for inputs, copies beside the computing.

Three streams: inputs are copied on one, everything is computed on the second, results leave on the third. Graphs share
one memory pool. That is safe because all of them are replayed on one stream, and because the runner takes a copy of the
results on that stream before the next graph runs (a pool lets one graph's scratch memory lie where another's was).
Source of the rules: the CUDA semantics notes of PyTorch's documentation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch

from partway.engines.torch.device import Array, Fetch, Work

SLOTS = 3
"""Batches whose inputs may be in transfer or in use at the same time."""
WARM = 3
"""Runs before a capture, in which libraries choose their kernels and allocate their workspaces."""
ALIGNED = 256


class Slot:
    """Inputs of one batch: pinned memory on the host, and as much on the device."""

    def __init__(self) -> None:
        self.pinned = self.device = torch.empty(0, dtype=torch.uint8)
        self.copied, self.consumed = torch.cuda.Event(), torch.cuda.Event()

    def grow(self, size: int, device: torch.device) -> None:
        """Grow to ``size`` bytes, after waiting for readers of the old memory."""
        if len(self.pinned) < size:
            self.copied.synchronize()
            self.consumed.synchronize()
            self.pinned = torch.empty(size, dtype=torch.uint8, pin_memory=True)
            self.device = torch.empty(size, dtype=torch.uint8, device=device)


class Cuda:
    """One GPU. One thread at a time submits work; waiting for results happens outside that lock."""

    def __init__(self, index: int, captures: bool = True) -> None:
        self.captures = captures
        self.torch = torch.device("cuda", index)
        self._lock = RLock()
        with torch.cuda.device(self.torch):
            self._copy_in, self._compute, self._copy_out = (torch.cuda.Stream() for _ in range(3))
            self._pool = torch.cuda.graph_pool_handle()
            self._ring = [Slot() for _ in range(SLOTS)]
        self._turn = 0
        self._used: list[Slot] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """This thread alone, on the computing stream; at the end the inputs' memory may be filled again."""
        with self._lock, torch.cuda.stream(self._compute):
            try:
                yield
            finally:
                for slot in self._used:
                    slot.consumed.record(self._compute)
                self._used.clear()

    def upload(self, arrays: Sequence[Array]) -> list[torch.Tensor]:
        """All arrays in one copy, through pinned memory; the computing stream waits for it, this thread does not."""
        starts, total = [], 0
        for array in arrays:
            starts.append(total)
            total += -(-array.nbytes // ALIGNED) * ALIGNED
        if not total:
            return [torch.from_numpy(np.array(array)).to(self.torch) for array in arrays]
        slot = self._ring[self._turn]
        self._turn = (self._turn + 1) % SLOTS
        slot.copied.synchronize()
        slot.grow(total, self.torch)
        host = slot.pinned.numpy()
        for array, at in zip(arrays, starts, strict=True):
            dtype = array.dtype.newbyteorder("=")
            np.copyto(host[at : at + array.nbytes].view(dtype).reshape(array.shape), array)
        with torch.cuda.stream(self._copy_in):
            self._copy_in.wait_event(slot.consumed)
            slot.device[:total].copy_(slot.pinned[:total], non_blocking=True)
            slot.copied.record(self._copy_in)
        self._compute.wait_event(slot.copied)
        self._used.append(slot)
        return [_view(slot.device[at : at + a.nbytes], a) for a, at in zip(arrays, starts, strict=True)]

    def capture(self, work: Work) -> tuple[Callable[[], None], Sequence[torch.Tensor]]:
        """As a CUDA graph, after a few runs to warm up."""
        for _ in range(WARM):
            work()
        self._compute.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._compute, capture_error_mode="thread_local"):
            outputs = list(work())
        return graph.replay, outputs

    def download(self, tensors: Sequence[torch.Tensor]) -> Fetch:
        """Into pinned memory of the caller's own, beside what is computed next."""
        ready, finished = torch.cuda.Event(), torch.cuda.Event()
        ready.record(self._compute)
        self._copy_out.wait_event(ready)
        hosts: list[torch.Tensor] = []
        with torch.cuda.stream(self._copy_out):
            for tensor in tensors:
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                host.copy_(tensor, non_blocking=True)
                tensor.record_stream(self._copy_out)
                hosts.append(host)
            finished.record(self._copy_out)

        def fetch() -> list[Array]:
            finished.synchronize()
            return [host.numpy() for host in hosts]

        return fetch

    def free(self) -> None:
        """Give torch's cached memory back to the device."""
        torch.cuda.synchronize(self.torch)
        torch.cuda.empty_cache()


def _view(part: torch.Tensor, array: Array) -> torch.Tensor:
    dtype = torch.from_numpy(np.empty(0, array.dtype.newbyteorder("="))).dtype
    return part.view(dtype).reshape(array.shape)


def exact_arithmetic(tf32: bool) -> None:
    """Whether float32 products may be rounded to TF32, process-wide; convolutions choose the fastest kernel."""
    torch.backends.cudnn.benchmark = True
    precision: Any = "tf32" if tf32 else "ieee"
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        torch.backends.cuda.matmul.fp32_precision = precision
        torch.backends.cudnn.conv.fp32_precision = precision
    else:  # before torch 2.9
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


def gpus() -> int:
    """How many CUDA devices torch can use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns when the driver is too old; then the count is 0
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def gpu_name(index: int) -> str:
    """The model of a GPU, its memory and torch's version."""
    about = torch.cuda.get_device_properties(index)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
