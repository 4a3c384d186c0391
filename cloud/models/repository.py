"""The models that a cloud serves: each is a plan with its stages loaded and its seconds per stage measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partway.cloud.models.batch_independence import independent
from partway.cloud.models.placement import Computing
from partway.engines.interface import Engine
from partway.errors import InputError, MissingPackage, mapped
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import PLAN_FILE, load_plan
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.profile.file import profile_to_json
from partway.partitioner.profile.measure import measure, sample_values
from partway.proto.codecs.registry import Codebook
from partway.proto.codecs.transform.codebook import codebook
from partway.system.files import unreadable

log = logging.getLogger("partway.cloud")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One loaded model. ``suffix_s[k]``: seconds of the stages from k on, measured on loading."""

    plan: Plan
    digest: str
    folder: Path
    chain: Chain
    preprocess: Preprocess | None
    profile: Mapping[str, Any]
    suffix_s: tuple[float, ...]
    batched: range = range(0)
    """The splits whose tensors have a batch as their first dimension."""
    book: Codebook = field(default_factory=dict)
    """The codecs fitted to this model."""
    independent: bool = True
    """Whether a test found that samples of a batch do not affect each other, so that frames may run together."""

    def stage_path(self, digest: str) -> Path | None:
        """The file of a stage, or its data file, by digest."""
        files = (file for stage in self.plan.stages for file in stage.files)
        return next((self.folder / file.file for file in files if file.digest == digest), None)


def load_model(folder: Path, threads: int = 0, computing: Computing | str = "auto") -> ServedModel:
    """Load and measure one model with this engine and device, or on an engine by name on the CPU.

    Raises InputError that names the faulty file.
    """
    plan = load_plan(folder)
    folder = folder if folder.is_dir() else folder.parent
    computing = Computing(computing) if isinstance(computing, str) else computing
    engine, chain = computing.load(plan, folder, threads)
    return _measured(plan, folder, chain, engine)


def _measured(plan: Plan, folder: Path, chain: Chain, engine: Engine) -> ServedModel:
    with mapped({KeyError: InputError}, f"the stages of {plan.model} do not fit together, slice again; no value"):
        chain.answer(chain.run(sample_values(chain), 0, len(plan.stages)))
    times = measure(chain, sample_values(chain), budget_s=0.1, most=50)
    suffix_s = tuple(sum(times.stage_s[k:]) for k in plan.splits)
    profile = profile_to_json(times, engine, plan.digest, plan.model)
    log.info("serving %s: %d stages, whole model %.2f ms", plan.model, len(plan.stages), suffix_s[0] * 1e3)
    batched = range(len(plan.stages) if plan.batches else 0)
    preprocess = plan.preprocess
    book = codebook(plan.codecs)
    apart = bool(batched) and independent(chain)
    return ServedModel(plan, plan.digest, folder, chain, preprocess, profile, suffix_s, batched, book, apart)


def load_repository(
    root: Path | Sequence[Path], threads: int = 0, computing: Computing | str = "auto"
) -> dict[str, ServedModel]:
    """All models below one or several roots (a plan's folder, or a folder of plans), by model name.

    A damaged model is logged, and the others are served. Raises InputError if there is no model.
    """
    roots = [root] if isinstance(root, Path) else list(root)
    folders = [folder for one in roots for folder in plan_folders(one)]
    models: dict[str, ServedModel] = {}
    faults: list[str] = []
    for folder in folders:
        try:
            model = load_model(folder, threads, computing)
        except MissingPackage as error:
            faults.append(str(error))
            log.info("not serving %s: %s", folder.name, error)
            continue
        except InputError as error:
            if faults or len(folders) > 1:  # a single fault is raised below, so it is not logged
                log.error("not serving %s: %s", folder.name, error)
            faults.append(str(error))
            continue
        if models.setdefault(model.plan.model, model) is not model:
            log.error("not serving %s: there is a model %s already", folder.name, model.plan.model)
    if not models:
        none = f"no plan in {', '.join(map(str, roots))}; put one there with `partway plan MODEL --out DIR`"
        raise InputError(faults[0] if faults else none)
    return models


def plan_folders(root: Path) -> list[Path]:
    """``root`` if it holds a plan, else its sub-folders with plans, sorted. Raises InputError if it cannot be read.

    A sub-folder that cannot be read counts as one with a plan, so that loading it reports the fault.
    """
    try:
        if (root / PLAN_FILE).is_file():
            return [root]
        return sorted(path for path in root.iterdir() if _holds_plan(path))
    except OSError as error:
        raise InputError(f"models folder {unreadable(root, error)}; check the path and who may read it") from error


def _holds_plan(path: Path) -> bool:
    try:
        return (path / PLAN_FILE).is_file()
    except PermissionError:
        return True
