"""A model as the partitioner sees it: operators and the values between them, whatever file format they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from partway.errors import InputError
from partway.proto.tensors import TensorSpec

OperatorSet = int
"""A set of operators as a bit mask: bit ``i`` stands for ``graph.operators[i]``."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One computation.

    ``inputs`` and ``outputs`` are activations by name (each once; captured outer values of a control-flow body count as
    inputs); ``constants`` the weights it depends on; ``work`` its multiply-adds at batch 1, estimated from shapes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[str, ...] = ()
    work: int = 0


@dataclass(frozen=True)
class Graph:
    """A read-only model: operators in topological order, activations apart from constants.

    ``values`` describes every activation that is a tensor; ``constants`` gives the bytes of every weight; ``sizes``
    overrides a value's bytes at batch 1 where its dynamic dimension is not 1 there; ``local`` names the values that can
    never be sent (sequences, strings, shapes that depend on the data). Raises :class:`InputError` when the
    operators are not in topological order or two of them make the same value.
    """

    operators: tuple[Operator, ...]
    values: Mapping[str, TensorSpec]
    constants: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    local: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        available = set(self.inputs)
        for operator in self.operators:
            for name in operator.inputs:
                if name not in available:
                    raise InputError(f"operator `{operator.name}` reads `{name}`, which nothing before it makes")
            for name in operator.outputs:
                if name in available:
                    raise InputError(f"the value `{name}` is made twice, the second time by `{operator.name}`")
                available.add(name)

    @property
    def everything(self) -> OperatorSet:
        """All operators."""
        return (1 << len(self.operators)) - 1

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """Which operator makes a value; model inputs do not appear."""
        return {name: index for index, operator in enumerate(self.operators) for name in operator.outputs}

    @cached_property
    def readers(self) -> Mapping[str, OperatorSet]:
        """Which operators read a value (activations that are read at all)."""
        found: dict[str, int] = {}
        for index, operator in enumerate(self.operators):
            for name in operator.inputs:
                found[name] = found.get(name, 0) | 1 << index
        return found

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """Every activation in the order it comes into being, model inputs first: the wire order of a cut."""
        return self.inputs + tuple(name for operator in self.operators for name in operator.outputs)

    @cached_property
    def ancestors(self) -> tuple[OperatorSet, ...]:
        """For each operator, itself and everything that must run before it."""
        found: list[int] = []
        for index, operator in enumerate(self.operators):
            mask = 1 << index
            for name in operator.inputs:
                if name in self.producers:
                    mask |= found[self.producers[name]]
            found.append(mask)
        return tuple(found)

    @cached_property
    def descendants(self) -> tuple[OperatorSet, ...]:
        """For each operator, itself and everything that depends on it."""
        found = [1 << index for index in range(len(self.operators))]
        for index in reversed(range(len(self.operators))):
            for name in self.operators[index].inputs:
                if name in self.producers:
                    found[self.producers[name]] |= found[index]
        return tuple(found)

    def crossing(self, prefix: OperatorSet) -> tuple[str, ...]:
        """The values that cross after ``prefix`` (downward closed): made before it and read after it, in wire order."""
        suffix = self.everything & ~prefix
        return tuple(
            name
            for name in self.activations
            if self.readers.get(name, 0) & suffix and (name not in self.producers or prefix >> self.producers[name] & 1)
        )

    def size_bytes(self, name: str) -> int:
        """Uncoded bytes of one activation at batch 1; 0 for one that is not a tensor."""
        if name in self.sizes:
            return self.sizes[name]
        return self.values[name].size_bytes() if name in self.values else 0

    def work(self, operators: OperatorSet) -> int:
        """Multiply-adds of a set of operators at batch 1."""
        return sum(self.operators[index].work for index in members(operators))

    def traffic_bytes(self, operators: OperatorSet) -> int:
        """Bytes that a set of operators reads and writes at batch 1, one operator after another, weights included."""
        return sum(self._traffic[index] for index in members(operators))

    @cached_property
    def _traffic(self) -> tuple[int, ...]:
        return tuple(
            sum(self.constants[name] for name in operator.constants)
            + sum(self.size_bytes(name) for name in (*operator.inputs, *operator.outputs))
            for operator in self.operators
        )

    def weight_bytes(self, operators: OperatorSet) -> int:
        """Bytes of the constants that a set of operators needs, a shared one counted once."""
        names = {name for index in members(operators) for name in self.operators[index].constants}
        return sum(self.constants[name] for name in names)


def members(operators: OperatorSet) -> Iterator[int]:
    """The indices in a set of operators, in topological order."""
    while operators:
        lowest = operators & -operators
        yield lowest.bit_length() - 1
        operators ^= lowest
