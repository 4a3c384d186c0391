"""``partway.plan``: turn a module in memory into a plan folder for edge-run and cloud-serve."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partway.engines.registry import engine_for
from partway.errors import InputError
from partway.partitioner.formats.model_metadata import described
from partway.partitioner.formats.pytorch.example_input import Example
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.model_file.wishes import wishes_of
from partway.partitioner.plan.new_folder import new_folder
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import save_plan
from partway.partitioner.profile.file import profile_to_json
from partway.partitioner.profile.measure import measure, sample_values

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

log = logging.getLogger("partway.partitioner")


def plan(
    model: nn.Module | ExportedProgram,
    example_inputs: Example = None,
    *,
    out: str | Path,
    cuts: str | Sequence[str] = "auto",
    limit: int = 8,
    name: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    fit: str | None = None,
    channels: str | None = None,
    labels: Sequence[str] = (),
    task: str | None = None,
    force: bool = False,
    state: Sequence[str] = (),
) -> Plan:
    """Export a module, slice it at its useful cuts into ``out``, time the stages here, and write ``out/plan.json``.

    ``model``: an ``nn.Module`` (exported as in ``eval()``; its mode is left as it was) or an ``ExportedProgram``, which
    has its own example. ``example_inputs``: one tensor or array, a sequence of them in the order of ``forward``'s
    arguments, or a mapping by their names; a batch of one frame or more. ``cuts``: ``"auto"`` (at most ``limit`` useful
    ones), ``"none"``, or values by name as ``partway cuts`` shows them. The rest is what ``partway plan`` takes:
    ``mean`` and ``std`` of pixels after ``scale`` (1/255), ``fit``, ``channels``, class ``labels``, the ``task``, and
    ``state``: outputs that are inputs of the next frame, ``"OUT=IN"``. A plan of the same model and cuts in ``out``
    hands on what it measured; ``force`` replaces one whose measurements would be lost.

    Raises InputError, one sentence with the file and line of the module's own code where there is one, for what cannot
    be exported, and MissingPackage without torch.
    """
    from partway.partitioner.formats.pytorch.export import write_onnx
    from partway.partitioner.slicing import cuts_for, open_model, picture_of, plan_model

    described_by = {"mean": mean, "std": std, "scale": scale, "fit": fit, "channels": channels, "task": task}
    wishes = wishes_of({**described_by, "labels": list(labels)})
    traced = _traced(model, example_inputs)
    with new_folder(Path(out), force) as new, tempfile.TemporaryDirectory(prefix="partway-") as temporary:
        file = Path(temporary) / "model.onnx"
        write_onnx(traced, file)
        source = open_model(file)
        chosen = cuts_for(source, cuts, limit, picture_of(source, wishes))
        found = plan_model(source, chosen, new.folder, name or _name(model), state=state)
        engine = engine_for(found.engine)
        chain = load_folder(new.folder, found, engine)
        found = new.inherit(described(found, chain, wishes))
        chain = Chain(found, chain.stages)
        times = measure(chain, sample_values(chain), 0.5)
        found = replace(found, profiles=(profile_to_json(times, engine, found.digest, found.model),))
        save_plan(found, new.folder)
    for note in new.notes:
        log.info("%s", note)
    return found


def _traced(model: Any, example: Example) -> Any:
    from partway.partitioner.formats.pytorch.package import import_torch
    from partway.partitioner.formats.pytorch.trace import of_program, trace

    torch = import_torch()
    if isinstance(model, torch.export.ExportedProgram):
        return of_program(model)
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"a plan is made of a torch.nn.Module, not of a {type(model).__name__}")
    if example is None:
        raise InputError("give example_inputs: tensors of the shapes that forward takes, a batch of one")
    training = {module: module.training for module in model.modules()}
    try:
        return trace(model.eval(), example)
    finally:
        for module, mode in training.items():
            module.training = mode


def _name(model: Any) -> str:
    return type(model).__name__ if type(model).__name__ != "ExportedProgram" else "model"
