"""Checks that the parts of a plan fit together: each stage finds what it reads, each output is made by a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partway.errors import InputError
from partway.partitioner.plan.state import state_fault

if TYPE_CHECKING:
    from partway.partitioner.plan.plan import Plan


def check_plan(plan: Plan, source: str) -> None:
    """Raise InputError, naming ``source``, when the parts of a plan do not fit together."""
    fault = _counts(plan) or _names(plan) or _tensors(plan) or _chain(plan) or state_fault(plan)
    if fault:
        raise InputError(f"{source} {fault}; write it again with `partway plan`")


def _counts(plan: Plan) -> str:
    if not plan.stages or len(plan.cuts) != len(plan.stages) + 1:
        return f"has {len(plan.stages)} stages and {len(plan.cuts)} cuts, there must be one cut more"
    files = [file.file for stage in plan.stages for file in stage.files if file.file]  # none: measured elsewhere
    twice = sorted({file for file in files if files.count(file) > 1})
    return f"names the file {twice[0]} for two stages" if twice else ""


def _names(plan: Plan) -> str:
    named = {value for cut in plan.cuts for value in cut.values} | set(plan.outputs) | set(plan.inputs)
    unknown = sorted(named - set(plan.tensors))
    if unknown:
        return f"does not describe {', '.join(unknown)}"
    if not plan.inputs or not plan.outputs:
        return "has no inputs or no outputs"
    if set(plan.cuts[0].values) != set(plan.inputs):
        return f"sends {plan.cuts[0]} at split 0, but the model reads {', '.join(plan.inputs)}"
    if set(plan.cuts[-1].values) != set(plan.outputs):
        return f"has {plan.cuts[-1]} after the last stage, but the model answers {', '.join(plan.outputs)}"
    return ""


def _tensors(plan: Plan) -> str:
    """The fault when a value is described in two ways."""
    for stage in plan.stages:
        for spec in (*stage.inputs, *stage.outputs):
            if plan.tensors.get(spec.name, spec) != spec:
                return f"describes {spec.name} in two ways"
    return ""


def _chain(plan: Plan) -> str:
    """The fault when a cut lacks a value that later stages read, or holds one that no earlier stage makes."""
    available = set(plan.inputs)
    for k, stage in enumerate(plan.stages):
        absent = [spec.name for spec in stage.inputs if spec.name not in plan.cuts[k].values]
        if absent:
            return f"lets {stage.file} read {absent[0]}, which the cut before it ({plan.cuts[k]}) does not hold"
        available = {*plan.cuts[k].values} & available | {spec.name for spec in stage.outputs}
        absent = [name for name in plan.cuts[k + 1].values if name not in available | _answers(plan, k)]
        if absent:
            return f"hands on {absent[0]} after {stage.file}, which nothing before makes"
    produced = {*plan.inputs, *(spec.name for stage in plan.stages for spec in stage.outputs)}
    absent = [name for name in plan.outputs if name not in produced]
    return f"promises the output {absent[0]}, which no stage makes" if absent else ""


def _answers(plan: Plan, k: int) -> set[str]:
    """Model outputs of the stages up to ``k``, which stay where they were made and need not cross."""
    produced = {*plan.inputs, *(spec.name for stage in plan.stages[: k + 1] for spec in stage.outputs)}
    return produced & set(plan.outputs)
