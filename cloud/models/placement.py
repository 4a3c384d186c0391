"""What a cloud computes with: the engine, the device, and the fallback if an engine does not support a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partway.engines.device import Chosen, choose_device
from partway.engines.interface import Engine, Unsupported
from partway.engines.registry import computes_on, engine_entry, engine_for, files_of
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain, choose_engine, load_folder
from partway.partitioner.plan.plan import Plan

log = logging.getLogger("partway.cloud")

TORCH_ONLY = {"precision": "fp32", "tf32": False, "compiled": False}
"""Options of the engine torch only, with their defaults."""
FLAGS = {"precision": "--precision", "tf32": "--tf32", "compiled": "--compile"}
"""Their names on the command line."""


@dataclass(frozen=True, slots=True)
class Computing:
    """An engine's name (``auto``: by the model and the device), a device, and the engine's options."""

    engine: str = "auto"
    device: Chosen = field(default_factory=lambda: Chosen("cpu", "auto", "as asked"))
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def load(self, plan: Plan, folder: Path, threads: int = 0) -> tuple[Engine, Chain]:
        """Load a plan's stages. With ``auto``, models that torch does not support run on ONNX Runtime, with a warning.

        Raises InputError.
        """
        name = self.engine
        if name == "auto" and self.device.engine != "auto" and "onnx" in plan.engines:
            name = self.device.engine
        if not computes_on(name, "cuda"):
            if self.device.device != "cpu":
                log.info("%s has no ONNX stages: it computes on the CPU", plan.model)
            engine = choose_engine(plan, name, threads)
            return engine, load_folder(folder, plan, engine)
        plan.stages_on(name)
        try:
            engine = engine_for(name, threads, self.device.device, **self.options)
            return engine, load_folder(folder, plan, engine)
        except Unsupported as error:
            if self.engine != "auto":
                raise
            return self._load_fallback(plan, folder, threads, files_of(name), error)

    def _load_fallback(
        self, plan: Plan, folder: Path, threads: int, name: str, why: Unsupported
    ) -> tuple[Engine, Chain]:
        try:
            engine = engine_for(name, threads, self.device.device)
            where = self.device.device
        except InputError:
            engine, where = engine_for(name, threads), "cpu"
        log.warning("%s runs on the engine %s, on %s: %s", plan.model, name, where, why)
        return engine, load_folder(folder, plan, engine)


def computing_on(engine: str, device: str, torch_options: Mapping[str, Any], tensorrt: bool = False) -> Computing:
    """An available engine and device. ``torch_options`` has the keys of TORCH_ONLY. Raises InputError."""
    chosen = choose_device(device, engine)
    runner = engine if engine != "auto" else chosen.engine
    options = {name: value for name, value in torch_options.items() if value != TORCH_ONLY[name]}
    if options and (runner == "auto" or not options.keys() <= engine_entry(runner).options.keys()):
        name, value = next(iter(options.items()))
        flag = FLAGS[name] if value is True else f"{FLAGS[name]} {value}"
        raise InputError(f"{flag} is for the engine torch; add --engine torch")
    if tensorrt:
        if runner == "auto" or "tensorrt" not in engine_entry(runner).options or chosen.device == "cpu":
            raise InputError("--tensorrt is for ONNX Runtime on a GPU; add --engine onnx --device cuda")
        options["tensorrt"] = True
    return Computing(engine, chosen, options)
