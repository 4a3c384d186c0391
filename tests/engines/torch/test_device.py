"""The processor as the plainest device."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from partway.engines.torch.device import Cpu  # noqa: E402


def test_arrays_are_read_where_they_lie_if_torch_can() -> None:
    """Writable, native arrays in C order share memory; others are copied by value."""
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    locked = plain.copy()
    locked.flags.writeable = False
    shifted = np.frombuffer(b"x" + plain.tobytes(), np.float32, offset=1).reshape(2, 3)
    arrays = [plain, locked, plain.astype(">f4"), np.asfortranarray(plain), shifted]
    tensors = Cpu().upload(arrays)
    assert all(np.array_equal(tensor.numpy(), plain) for tensor in tensors)
    assert [np.shares_memory(t.numpy(), a) for t, a in zip(tensors, arrays, strict=True)] == [True, *[False] * 4]


def test_captured_work_is_done_anew_into_the_same_tensors() -> None:
    """A repetition reads the inputs of then and writes where the first one wrote."""
    given = torch.ones(3)
    repeat, (made,) = Cpu(captures=True).capture(lambda: [given * 2])
    given.fill_(5)
    repeat()
    assert made.tolist() == [10, 10, 10]


def test_results_are_there_at_once() -> None:
    """Nothing moves; any thread may compute."""
    device = Cpu()
    with device.working(), device.working():
        fetch = device.download([torch.arange(3)])
    assert fetch()[0].tolist() == [0, 1, 2]
    assert not device.captures
