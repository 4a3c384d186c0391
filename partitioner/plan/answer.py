"""Reads a model's outputs by the plan's task: integers of quantised outputs become real numbers, then results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from partway.partitioner.plan.plan import Plan
from partway.proto.tensors import Quantization
from partway.tasks.interface import Geometry, OutputSpec, Result, Task
from partway.tasks.registry import task_of

Array = np.ndarray[Any, Any]


class AnswerReader:
    """Reads the answers of one plan. Raises InputError if the plan's ``output`` entry does not fit its outputs."""

    def __init__(self, plan: Plan) -> None:
        specs = [plan.tensors[name] for name in plan.answers]
        self.task: Task = task_of(plan.output, [OutputSpec(spec.name, spec.dtype, spec.shape) for spec in specs])
        self._quantised = {spec.name: spec.quantization for spec in specs if spec.quantization is not None}

    def result(self, outputs: Mapping[str, Array], geometry: Geometry | None = None) -> Result:
        """The result of one frame, batch of one."""
        if self._quantised and self.task.name != "tensors":
            outputs = {
                name: real_values(array, meaning) if (meaning := self._quantised.get(name)) else array
                for name, array in outputs.items()
            }
        return self.task.decode(outputs, geometry)


def real_values(array: Array, meaning: Quantization) -> Array:
    """``scale * (integer - zero_point)`` as float32, along the tensor's axis where it has several scales."""
    shape = [1] * array.ndim
    if len(meaning.scales) > 1:
        shape[meaning.axis] = len(meaning.scales)
    scales = np.asarray(meaning.scales, np.float32).reshape(shape if array.ndim else ())
    zeros = np.asarray(meaning.zero_points, np.float32).reshape(shape if array.ndim else ())
    return np.asarray(scales * (array.astype(np.float32) - zeros), np.float32)
