"""Trace a module with an example input into a ``torch.export`` program, with a free batch dimension if possible."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.pytorch.example_input import Example, in_order
from partway.partitioner.formats.pytorch.package import import_torch, silenced
from partway.partitioner.formats.pytorch.user_frame import first_line, place

log = logging.getLogger("partway.partitioner")
_FIXED = re.compile(r"specialized it to be a constant \((\d+)\)")


@dataclass(frozen=True, slots=True)
class Traced:
    """An ``ExportedProgram``, the tensors it was traced with, and the module's own answers to them, flat.

    ``module`` answers like the program; ``batched``: the first dimension of its inputs is free.
    """

    program: Any
    args: tuple[Any, ...]
    answers: tuple[Any, ...]
    module: Any
    batched: bool


def trace(module: Any, example: Example) -> Traced:
    """Trace an ``nn.Module``. Raises InputError, with the line of the module's own code where there is one.

    An example of one frame is doubled, because torch treats a dimension of 1 as fixed.
    """
    torch = import_torch()
    args = tuple(_tensor(torch, value) for value in in_order(example, module.forward))
    frames = {arg.shape[0] if arg.ndim else 0 for arg in args}
    shared = next(iter(frames)) if len(frames) == 1 else 0
    one = tuple(arg[:1] for arg in args) if shared else args
    answers = _flat(torch, _answer(module, one))
    try:
        if shared:
            return _with_free_batch(module, args if shared > 1 else tuple(torch.cat([arg, arg]) for arg in args))
        why = "its inputs share no first dimension"
    except _CannotTraceError as error:
        if error.by_data:
            raise InputError(error.sentence(type(module).__name__)) from error
        why = error.why
    except InputError as error:
        why = str(error)
    try:
        program = _exported(torch, module, one, None)
    except _CannotTraceError as error:
        raise InputError(error.sentence(type(module).__name__)) from error
    log.warning("%s has a fixed batch and takes one frame at a time: %s", type(module).__name__, why)
    return Traced(program, one, answers, module, False)


def _with_free_batch(module: Any, args: tuple[Any, ...]) -> Traced:
    """Of an example of several frames. Raises _CannotTraceError, or InputError when the module does not take it."""
    torch = import_torch()
    answers = _flat(torch, _answer(module, args))
    program = _exported(torch, module, args, tuple({0: torch.export.Dim("batch")} for _ in args))
    if not all(one.ndim and one.shape[0] == args[0].shape[0] for one in answers):
        raise InputError("an output does not have the frames as its first dimension")
    return Traced(program, args, answers, module, True)


def of_program(program: Any) -> Traced:
    """The same of a program already exported, with the example that it was saved with. InputError when it has none."""
    torch = import_torch()
    example = program.example_inputs
    if example is None or not example[0]:
        raise InputError("the program was saved without its example inputs; export it again with torch.export.export")
    args = (*example[0], *example[1].values())
    if not all(isinstance(arg, torch.Tensor) for arg in args):
        raise InputError("the program takes something that is no tensor; export one that takes tensors only")
    with silenced():
        module = program.module(check_guards=False)
    with torch.no_grad():
        answer = module(*example[0], **example[1])
    free = [name for name in program.graph_signature.user_inputs if _free_batch(program, name)]
    return Traced(program, args, _flat(torch, answer), module, len(free) == len(args))


def _free_batch(program: Any, name: str) -> bool:
    node = next(node for node in program.graph.nodes if node.name == name)
    shape = node.meta["val"].shape
    return bool(len(shape)) and not isinstance(shape[0], int)


def _tensor(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"an example input must be numbers, not {array.dtype}")
    return torch.from_numpy(np.ascontiguousarray(array))


def _answer(module: Any, args: Sequence[Any]) -> Any:
    torch = import_torch()
    try:
        with torch.no_grad(), silenced():
            return module(*args)
    except Exception as error:  # it is the user's code and may raise anything
        shapes = ", ".join(f"{str(arg.dtype).removeprefix('torch.')} {list(arg.shape)}" for arg in args)
        at = f" at {found}" if (found := place(error)) else ""
        raise InputError(
            f"{type(module).__name__} does not take the example input {shapes}{at}: {first_line(error)}"
        ) from error


def _flat(torch: Any, answer: Any) -> tuple[Any, ...]:
    leaves = torch.utils._pytree.tree_leaves(answer)
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor):
            raise InputError(f"forward returns {leaf!r:.40}, which is no tensor; return tensors only")
    return tuple(leaves)


class _CannotTraceError(Exception):
    """torch.export failed; holds the reason and the place in the model."""

    def __init__(self, error: Exception) -> None:
        self.place, self.why = place(error), first_line(error)
        if found := _FIXED.search(str(error)):
            self.why = f"forward uses the batch size {found[1]} as a constant, so the batch cannot vary"
        self.by_data = type(error).__name__ == "GuardOnDataDependentSymNode" or "data-dependent" in str(error)

    def sentence(self, name: str) -> str:
        at = f" at {self.place}" if self.place else ""
        if self.by_data:
            return (
                f"{name} decides by the data{at}, which cannot be exported; compute both and choose with torch.where,"
                " or use torch.cond"
            )
        return f"{name} cannot be exported{at}: {self.why}; keep to torch's own operations there"


def _exported(torch: Any, module: Any, args: tuple[Any, ...], sizes: Any) -> Any:
    try:
        with torch.no_grad(), silenced():
            return torch.export.export(module, args, dynamic_shapes=sizes, strict=False)
    except Exception as error:  # torch raises dozens of types, most of them private
        raise _CannotTraceError(error) from error
