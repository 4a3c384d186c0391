"""The table from ONNX operators to torch functions, and the context an entry gets when a model is built.

An entry is a factory: it reads an operator's attributes once, and gives the function that runs it. Inputs arrive as
tensors; those in ``host`` places as Python numbers (sizes, axes: what shapes are made of, known without asking the
device), those in ``literal`` places as Python numbers where they are constants.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from partway.engines.interface import Unsupported
from partway.engines.onnx_file.model import AttributeReference, OnnxOperator
from partway.engines.onnx_file.values import BFLOAT16, Constant

DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16, 6: torch.int32, 7: torch.int64,
    9: torch.bool, 10: torch.float16, 11: torch.float64, 12: torch.uint32, 13: torch.uint64, 14: torch.complex64,
    15: torch.complex128, BFLOAT16: torch.bfloat16,
}  # fmt: skip
"""torch's dtype by ONNX's element type."""
Run = Callable[..., Any]
Factory = Callable[["OperatorContext"], Run]
MOST_CACHED = 512
_MISSING = object()


@dataclass(slots=True)
class ShapeCache:
    """Small tensors on the device that depend on shapes only: made once, so that a captured graph can read them."""

    tensors: dict[Any, torch.Tensor] = field(default_factory=dict)

    def get(self, key: Any, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What ``make`` makes, made once per key."""
        found = self.tensors.get(key)
        if found is None:
            if len(self.tensors) >= MOST_CACHED:
                self.tensors = {}  # replaced, not cleared: captured graphs keep the old table
            found = self.tensors[key] = make()
        return found


@dataclass(slots=True)
class OperatorContext:
    """What a factory reads of its operator. An attribute that no factory reads makes the operator unsupported."""

    operator: OnnxOperator
    opset: int
    floats: torch.dtype
    cache: ShapeCache
    read: set[str] = field(default_factory=set)

    def _get(self, name: str, default: Any) -> Any:
        self.read.add(name)
        value = self.operator.attributes.get(name, _MISSING)
        if isinstance(value, AttributeReference):
            raise self.unsupported(f"the attribute {name} without a value")
        if value is _MISSING:
            if default is _MISSING:
                raise self.unsupported(f"no attribute {name}")
            return default
        return value

    def integer(self, name: str, default: Any = _MISSING) -> Any:
        """An integer attribute, or ``default``."""
        return self._get(name, default)

    def real(self, name: str, default: Any = _MISSING) -> Any:
        """A float32 attribute, or ``default``."""
        return self._get(name, default)

    def text(self, name: str, default: Any = _MISSING) -> Any:
        """A text."""
        return self._get(name, default)

    def many(self, name: str, default: Any = None) -> Any:
        """A list of numbers or texts, or ``default``."""
        value = self._get(name, default)
        return value if value is None else list(value)

    def constant(self, name: str, default: Any = _MISSING) -> Any:
        """A tensor, on the CPU."""
        value = self._get(name, default)
        return to_tensor(value) if isinstance(value, Constant) else value

    def dtype(self, name: str, default: Any = _MISSING) -> Any:
        """An ONNX element type as torch's; float32 as what the engine computes in."""
        value = self._get(name, None if default is not _MISSING else _MISSING)
        if value is None:
            return default
        if value not in DTYPES:
            raise self.unsupported(f"the element type {value}")
        return self.floats if DTYPES[value] is torch.float32 else DTYPES[value]

    @property
    def output_count(self) -> int:
        """The number of outputs up to the last named one."""
        named = [at for at, name in enumerate(self.operator.outputs) if name]
        return named[-1] + 1 if named else 0

    def only(self, outputs: int) -> None:
        """Raise Unsupported when the operator has more than ``outputs`` outputs."""
        if self.output_count > outputs:
            raise self.unsupported(f"output {outputs + 1}")

    def unsupported(self, what: str) -> Unsupported:
        """The error to raise."""
        return unsupported(self.operator, f"with {what}")


def unsupported(operator: OnnxOperator, what: str = "") -> Unsupported:
    """One sentence: which operator, which node, and what can run it."""
    where = f"{operator.domain}." if operator.domain else ""
    return Unsupported(
        f"the engine torch cannot run {where}{operator.called}{' ' + what if what else ''}; use --engine onnx"
    )


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """How to run one kind of operator.

    ``host`` and ``literal``: see above. ``exact`` places keep float32 whatever the engine computes in. ``waits`` marks
    operators whose output's shape depends on the numbers themselves, ``shapes`` those that say how large something is
    (on the host), ``many`` those that always make a sequence, even of one.
    """

    factory: Factory
    host: tuple[int, ...] = ()
    literal: tuple[int, ...] = ()
    exact: tuple[int, ...] = ()
    waits: bool = False
    shapes: bool = False
    many: bool = False


TABLE: dict[tuple[str, str], OperatorEntry] = {}


def op(*kinds: str, domains: Sequence[str] = ("",), **options: Any) -> Callable[[Factory], Factory]:
    """Enter a factory into the table; ``options`` are those of :class:`OperatorEntry`."""

    def enter(factory: Factory) -> Factory:
        for domain in domains:
            for kind in kinds:
                TABLE[domain, kind] = OperatorEntry(factory, **options)
        return factory

    return enter


def plain(kind: str, run: Run) -> None:
    """Enter an operator without attributes that is one torch function."""
    TABLE["", kind] = OperatorEntry(lambda _: run)


def to_tensor(constant: Constant) -> torch.Tensor:
    """A read-only constant on the CPU, over the file's own bytes when possible."""
    array = (
        constant.array
        if constant.array.dtype.isnative
        else constant.array.astype(constant.array.dtype.newbyteorder("="))
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if constant.kind == BFLOAT16 else tensor


def numbers(value: Any) -> list[Any]:
    """A host argument as a list: from literals, or from a tensor (a tensor on a device is waited for)."""
    if isinstance(value, torch.Tensor):
        return list(value.reshape(-1).tolist())
    return list(value) if isinstance(value, tuple | list) else [value]


def number(value: Any) -> Any:
    """The same for a single number."""
    (found,) = numbers(value)
    return found
