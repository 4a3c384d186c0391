"""What a cloud computes with: the engine, the device, and what to do where an engine does not know a model."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partway.engines.device import Chosen, choose_device
from partway.engines.interface import Engine, Unsupported
from partway.engines.registry import computes_on, engine_entry, engine_for, engine_names, files_of
from partway.errors import InputError
from partway.partitioner.plan.chain import Chain, choose_engine, load_folder
from partway.partitioner.plan.plan import Plan

log = logging.getLogger("partway.cloud")

TORCH_ONLY = {"precision": "fp32", "tf32": False, "compiled": False}
"""Options that the engine torch alone has, and their defaults."""


@dataclass(frozen=True, slots=True)
class Computing:
    """An engine's name (``auto``: as the model and the device want), a device, and the engine's options."""

    engine: str = "auto"
    device: Chosen = field(default_factory=lambda: Chosen("cpu", "auto", "as asked"))
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def load(self, plan: Plan, folder: Path, threads: int = 0) -> tuple[Engine, Chain]:
        """A plan's stages, loaded. With ``auto``, what torch does not know runs on ONNX Runtime, and that is said.

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
            return self._instead(plan, folder, threads, files_of(name), error)

    def _instead(self, plan: Plan, folder: Path, threads: int, name: str, why: Unsupported) -> tuple[Engine, Chain]:
        try:
            engine = engine_for(name, threads, self.device.device)
            where = self.device.device
        except InputError:
            engine, where = engine_for(name, threads), "cpu"
        log.warning("%s runs on the engine %s, on %s: %s", plan.model, name, where, why)
        return engine, load_folder(folder, plan, engine)


def computing_arguments(parser: argparse.ArgumentParser) -> None:
    """Engine and device."""
    add = parser.add_argument
    add(
        "--engine",
        default="auto",
        metavar="NAME",
        help=f"{', '.join(engine_names())}, for models that have it (default: auto)",
    )
    add("--device", default="auto", metavar="auto|cpu|cuda[:i]", help="where to compute (default: %(default)s)")
    add("--precision", default="fp32", choices=("fp32", "fp16", "bf16"), help="of the engine torch (default: fp32)")
    add("--tf32", action="store_true", help="let the engine torch round float32 products to TF32")
    add("--compile", dest="compiled", action="store_true", help="let the engine torch compile stages (torch.compile)")
    add("--tensorrt", action="store_true", help="with --engine onnx on CUDA: TensorRT where it can")


def computing_of(args: argparse.Namespace) -> Computing:
    """What was asked for and can be had. Raises InputError, one sentence that says what to do."""
    chosen = choose_device(args.device, args.engine)
    runner = args.engine if args.engine != "auto" else chosen.engine
    options = {name: getattr(args, name) for name, default in TORCH_ONLY.items() if getattr(args, name) != default}
    if options and (runner == "auto" or not options.keys() <= engine_entry(runner).options.keys()):
        given = {"precision": f"--precision {args.precision}", "tf32": "--tf32", "compiled": "--compile"}
        raise InputError(f"{given[next(iter(options))]} is for the engine torch; add --engine torch")
    if args.tensorrt:
        if runner == "auto" or "tensorrt" not in engine_entry(runner).options or chosen.device == "cpu":
            raise InputError("--tensorrt is for ONNX Runtime on a GPU; add --engine onnx --device cuda")
        options["tensorrt"] = True
    return Computing(args.engine, chosen, options)
