"""Find which of a model's operators each kernel of ONNX Runtime runs.

ONNX Runtime fuses, renames, moves and inserts operators before it runs a model. Each operator gets a number as its name
first; the optimised graph that ONNX Runtime writes is then compared with the model's own:

1. the number is in the kernel's name (``@3@``, ``fused @3@``, ``@17@/MatMulScaleFusion/``), or the name of the value
   that the operator made is (``relu2_nchwc``: a convolution in the blocked layout);
2. else the kernel makes a value of the model's: fusions keep the last value of what they replace;
3. else it lies within what makes such a value: an operator that became several (a function, a fusion undone);
4. else it was inserted (``ReorderInput``, ``Cast``), and belongs to no operator.

An activation that became an attribute of a kernel is the operator of that kind after the kernel's other operators. An
integer kernel includes the operator that quantises its output. A kernel's group is the operators found this way and
those before them that no other kernel runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from partway.engines.onnx_file.graph import NUMBER, Node, OnnxGraph

INSERTED = frozenset({"ReorderInput", "ReorderOutput"})
LEADING = frozenset(
    [
        *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"),
        *("LSTM", "GRU", "RNN", "If", "Loop", "Scan", "Einsum", "Attention", "MaxPool", "AveragePool"),
        *("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "Softmax"),
    ]
)
"""The first of these kinds leads a fused group, because most of the time goes there…"""
ALONG = frozenset(
    [
        *("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
        *("QuantizeLinear", "DequantizeLinear"),
    ]
)
"""…else by the last that is none of these…"""
IDLE = frozenset({"Identity", "Dropout"})
"""…or, where there is none, of these."""
RANDOM = re.compile("Random|Bernoulli|Multinomial")
_OF_VALUE = re.compile(r"(.+?)(?:_bn)?_(?:nchwc|pre_q)(?:_token_[0-9]+)?")


def groups(model: OnnxGraph, ran: Sequence[Node]) -> tuple[list[tuple[int, ...]], list[int | None]]:
    """The groups of operators that run as one, as numbers in ``model.nodes``, and of each node that ran its group.

    ``ran`` is in an order in which it can run. No operator is in two groups; every one that depends on the model's
    inputs is in one. A node that was inserted has no group.
    """
    found = _Found(model, ran)
    of_node: list[int | None] = []
    of_operator: dict[int, int] = {}
    fused_groups: list[set[int]] = []
    for seeds in found.seeds:
        if not seeds:
            of_node.append(None)
            continue
        number = next((of_operator[seed] for seed in sorted(seeds) if seed in of_operator), len(fused_groups))
        if number == len(fused_groups):
            fused_groups.append(set())
        members = found.group(seeds) - of_operator.keys()
        fused_groups[number] |= members
        of_operator.update(dict.fromkeys(members, number))
        of_node.append(number)
    fused_groups += [{operator} for operator in sorted(found.moving - of_operator.keys())]
    return [tuple(sorted(group)) for group in fused_groups], of_node


def leader(model: OnnxGraph, group: Sequence[int]) -> int:
    """The operator that represents a group."""
    first = next((at for at in group if model.nodes[at].kind in LEADING), None)
    if first is not None:
        return first
    kinds = [model.nodes[at].kind for at in group]
    for idle in (ALONG, IDLE):
        last = next((at for at, kind in zip(reversed(group), reversed(kinds), strict=True) if kind not in idle), None)
        if last is not None:
            return last
    return group[-1]


class _Found:
    """``seeds``: of each node that ran, the operators that it certainly runs."""

    def __init__(self, model: OnnxGraph, ran: Sequence[Node]) -> None:
        self.model, self.ran = model, ran
        self.makers = {value: at for at, node in enumerate(model.nodes) for value in node.outputs}
        self.moving = _moving(model)
        self.seeds = [self._named(node) for node in ran]
        self.claimed = {operator for seeds in self.seeds for operator in seeds}
        self._by_activation()
        self._by_value()
        self._by_place()

    def _named(self, node: Node) -> set[int]:
        found = {int(number) for number in NUMBER.findall(node.name)}
        for name in (node.name, *node.outputs):
            match = _OF_VALUE.fullmatch(name)
            if match and match[1] in self.makers:
                found.add(self.makers[match[1]])
        return {at for at in found if at < len(self.model.nodes)}

    def _by_activation(self) -> None:
        readers: dict[str, list[int]] = {}
        for at, node in enumerate(self.model.nodes):
            for value in node.inputs:
                readers.setdefault(value, []).append(at)
        for node, seeds in zip(self.ran, self.seeds, strict=True):
            outputs = [value for seed in seeds for value in self.model.nodes[seed].outputs]
            after = {at for value in outputs for at in readers.get(value, ())} - self.claimed
            kind = node.activation or ("QuantizeLinear" if node.kind.startswith("QLinear") else None)
            new = {at for at in after if self.model.nodes[at].kind == kind}
            seeds.update(new)
            self.claimed |= new

    def _by_value(self) -> None:
        for node, seeds in zip(self.ran, self.seeds, strict=True):
            if node.kind not in INSERTED:
                new = {self.makers[value] for value in node.outputs if value in self.makers} - self.claimed
                seeds.update(new)
                self.claimed |= new

    def _by_place(self) -> None:
        """Walk back from every value of the model through nodes that are not matched yet."""
        maker = {value: at for at, node in enumerate(self.ran) for value in node.outputs}
        for at, node in enumerate(self.ran):
            produced = {self.makers[value] for value in node.outputs if value in self.makers}
            if node.kind in INSERTED:
                produced -= self.claimed
            waiting = self._fresh(node, maker) if produced else []
            while waiting:
                before = waiting.pop()
                if self.seeds[before] or self.ran[before].kind in INSERTED:
                    continue
                self.seeds[before] |= self.seeds[at] or produced
                waiting += self._fresh(self.ran[before], maker)
            self.claimed |= produced

    def _fresh(self, node: Node, maker: dict[str, int]) -> list[int]:
        """The nodes that make what this one reads, as far as that is no value of the model's."""
        return [maker[value] for value in node.inputs if value in maker and value not in self.makers]

    def group(self, seeds: set[int]) -> set[int]:
        """The operators with those before them that no other node runs."""
        found, waiting = set(seeds), list(seeds)
        while waiting:
            for value in self.model.nodes[waiting.pop()].inputs:
                before = self.makers.get(value)
                if before is not None and before in self.moving and before not in self.claimed | found:
                    found.add(before)
                    waiting.append(before)
        return found


def _moving(model: OnnxGraph) -> set[int]:
    """The operators that depend on the model's inputs: the others are constants."""
    values, found = set(model.inputs), set()
    for at, node in enumerate(model.nodes):
        if RANDOM.match(node.kind) or values.intersection(node.inputs):
            found.add(at)
            values.update(node.outputs)
    return found
