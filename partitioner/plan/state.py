"""State between the frames of a stream: some outputs of one frame are inputs of the next.

A plan names these pairs. The state itself belongs to a stream: one edge session, or one sequence of ``verify``. No
stage, engine or cloud keeps any.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from partway.proto.tensors import TensorSpec, Values

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class StateLink:
    """The model's ``output`` of a frame is its ``input`` of the next.

    ``initial``: the input of the first frame, little-endian in C order; empty for zeros. ``answers``: the output is
    part of the answer as well.
    """

    output: str
    input: str
    initial: bytes = b""
    answers: bool = False

    def first(self, spec: TensorSpec) -> Array:
        """The input of the first frame."""
        shape = spec.frame_shape()
        if not self.initial:
            return np.zeros(shape, spec.dtype)
        return np.frombuffer(self.initial, np.dtype(spec.dtype).newbyteorder("<")).reshape(shape).astype(spec.dtype)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {
            "output": self.output,
            "input": self.input,
            **({"initial": base64.b64encode(self.initial).decode("ascii")} if self.initial else {}),
            **({"answers": True} if self.answers else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StateLink:
        """Inverse of ``to_json``. Raises KeyError, TypeError or ValueError for anything else."""
        initial = base64.b64decode(str(data.get("initial", "")), validate=True)
        return cls(str(data["output"]), str(data["input"]), initial, bool(data.get("answers", False)))


class StreamState:
    """The state of one stream of frames of a plan. Its ``values`` are inputs of the next frame, by name.

    It is false for a plan without state; all methods may be called then, and do nothing.
    """

    def __init__(self, plan: Plan) -> None:
        self._links = plan.state
        self._first = {link.input: link.first(plan.tensors[link.input]) for link in plan.state}
        self.values: dict[str, Array] = dict(self._first)

    def __bool__(self) -> bool:
        return bool(self._links)

    def reset(self) -> None:
        """Begin a new sequence: the next frame is the first one."""
        self.values = dict(self._first)

    def before(self, inputs: Values) -> Values:
        """The inputs of a frame, with the state where the frame does not bring its own."""
        return {**self.values, **inputs} if self._links else inputs

    def after(self, outputs: Values) -> None:
        """Take the state out of the outputs of an answered frame. Without outputs, the state stays as it was."""
        if outputs:
            for link in self._links:
                self.values[link.input] = outputs[link.output]


def initial_bytes(array: Array | None) -> bytes:
    """A first value as ``StateLink.initial``."""
    return b"" if array is None or not array.any() else array.astype(array.dtype.newbyteorder("<")).tobytes()


def state_fault(plan: Plan) -> str:
    """What is wrong with the state entries of a plan; empty if nothing is."""
    for link in plan.state:
        if link.input not in plan.inputs or link.output not in plan.outputs:
            return f"feeds {link.output} back to {link.input}, which are no output and input of the model"
        source, target = plan.tensors[link.output], plan.tensors[link.input]
        if not compatible(source, target):
            return f"feeds {link.output} back to {link.input}, which differs in type or shape"
        if len(link.initial) not in (0, target.size_bytes()):
            return f"has an initial state of {len(link.initial)} bytes for {link.input}"
    if len({link.input for link in plan.state}) < len(plan.state):
        return "feeds two outputs back to one input"
    return ""


def compatible(source: TensorSpec, target: TensorSpec) -> bool:
    """Whether one tensor may stand for another: same type, and no known sizes that differ."""
    return (
        source.dtype == target.dtype
        and len(source.shape) == len(target.shape)
        and all(a is None or b is None or a == b for a, b in zip(source.shape, target.shape, strict=True))
    )
