"""The plan: a model's chain of stages as data, with a JSON form for files and the wire, and a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from partway.engines.registry import fallback_of, files_of
from partway.errors import InputError
from partway.partitioner.plan.cut import Cut, cut_names
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.plan.state import StateLink
from partway.proto.tensors import TensorSpec

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StageFile:
    """One file of a stage, by its SHA-256."""

    file: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of the model between two neighbouring cuts, as a file of its own.

    ``inputs`` are the values of the cut before that this stage really reads, ``outputs`` the ones it makes for the cut
    after (and model outputs); values that merely pass through appear in neither. ``size_bytes`` is ``file`` alone,
    ``data`` the file beside it that a stage of more than 2 GB keeps its weights in. Without a ``file`` (and a digest)
    the stage was measured elsewhere and cannot be run here. ``twins`` holds the same stage for other engines, by the
    engine's name: same tensors, same function up to rounding.
    """

    file: str
    digest: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: int
    data: StageFile | None = None
    twins: Mapping[str, StageFile] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Bytes of the file and its data file."""
        return self.size_bytes + (self.data.size_bytes if self.data else 0)

    @property
    def files(self) -> tuple[StageFile, ...]:
        """Its file, its data file, and those of its twins."""
        beside = () if self.data is None else (self.data,)
        return (StageFile(self.file, self.digest, self.size_bytes), *beside, *self.twins.values())

    def on(self, twin: str) -> Stage:
        """The stage with the files of its twin for ``engine``. Raises KeyError when there is none."""
        chosen = self.twins[twin]
        return replace(self, file=chosen.file, digest=chosen.digest, size_bytes=chosen.size_bytes, data=None)


@dataclass(frozen=True)
class Plan:
    """The persisted decision space of one model.

    ``cuts`` has one entry more than ``stages``: ``cuts[k]`` is what crosses at split k, so ``cuts[0]`` holds the
    model's inputs and ``cuts[-1]`` what is left to send when the device has run everything (the model's outputs).
    ``tensors`` describes every value named by a cut or a model output.
    ``input`` says how an image becomes the model's input (see ``preprocess``), ``output`` how to read its answer;
    ``codecs`` holds the parameters of codecs fitted to this model (see proto/codecs/transform/codebook.py).
    ``examples`` has a value for some inputs (see plan/inputs.py): the default of frames that lack the input.
    ``state`` names the outputs of a frame that are inputs of the next one (see state.py).
    ``weights`` says where those of a model made by name come from, ``random …`` where they were never trained.
    ``guesses`` are sentences on what nobody said of ``input`` and ``output``.
    ``guesses``, ``candidates``, ``profiles`` and ``twin_agreement`` do not take part in the digest;
    the last holds, by engine, the share of answers kept when the first k stages are this engine's twins.
    """

    model: str
    model_digest: str
    engine: str
    stages: tuple[Stage, ...]
    cuts: tuple[Cut, ...]
    tensors: Mapping[str, TensorSpec]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    codecs: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Mapping[str, Any], ...] = ()
    profiles: tuple[Mapping[str, Any], ...] = ()
    twin_agreement: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    weights: str = ""
    examples: Mapping[str, Any] = field(default_factory=dict)
    state: tuple[StateLink, ...] = ()
    guesses: tuple[str, ...] = ()

    @property
    def splits(self) -> range:
        """Every legal split k: 0 is all in the cloud, ``len(stages)`` all on the device."""
        return range(len(self.stages) + 1)

    def crossing(self, k: int) -> tuple[TensorSpec, ...]:
        """The tensors that cross at split k, in wire order."""
        return tuple(self.tensors[name] for name in self.cuts[k].values)

    @cached_property
    def cut_names(self) -> list[str]:
        """The name of every cut for people, short and no two alike; ``str(cut)`` has the whole names."""
        return cut_names(self.cuts)

    @cached_property
    def frame_inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that a frame brings: all but the state, in wire order."""
        state = {link.input for link in self.state}
        return tuple(spec for spec in self.crossing(0) if spec.name not in state)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The outputs that are the answer: all but the state, or all where nothing else is."""
        state = {link.output for link in self.state if not link.answers}
        return tuple(name for name in self.outputs if name not in state) or self.outputs

    @cached_property
    def state_values(self) -> frozenset[str]:
        """Inputs and outputs that hold state. They are always sent as they are: a codec's loss would add up."""
        return frozenset(name for link in self.state for name in (link.input, link.output))

    def coded(self, k: int) -> tuple[TensorSpec, ...]:
        """The tensors that cross at split k and may be coded: all but the state."""
        return tuple(spec for spec in self.crossing(k) if spec.name not in self.state_values)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that can run every stage, the plan's own first."""
        names = dict.fromkeys(name for stage in self.stages for name in stage.twins if name != self.engine)
        return (self.engine, *(name for name in names if all(self._has(stage, name) for stage in self.stages)))

    def _has(self, stage: Stage, engine: str) -> bool:
        """Whether an engine runs this stage: it has a twin for it, or the engine takes the stage's own file too."""
        return engine in stage.twins or fallback_of(engine) == self.engine

    def stages_on(self, engine: str) -> tuple[Stage, ...]:
        """The stages with the files this engine runs. Raises InputError when the plan has none for it."""
        files = files_of(engine)
        if files == self.engine:
            return self.stages
        if files not in self.engines:
            has = ", ".join(self.engines)
            raise InputError(f"model {self.model} has no stages for engine {engine!r}; it has them for: {has}")
        return tuple(stage.on(files) if files in stage.twins else stage for stage in self.stages)

    @property
    def batches(self) -> bool:
        """Whether the first dimension of every tensor counts frames, so that several frames can run as one."""
        return all(spec.batch_first for spec in self.tensors.values())

    @cached_property
    def preprocess(self) -> Preprocess | None:
        """How a picture becomes the input, None where it takes no pictures. Raises InputError on a damaged entry."""
        return Preprocess.from_json(self.input)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that changes an answer, without the measurements. Both halves must agree on it."""
        data = plan_to_json(self)
        for measured in ("guesses", "candidates", "profiles", "twin_agreement", "digest"):
            data.pop(measured, None)
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The format of plan.json, all but its digest."""
    return {
        "format": FORMAT,
        "model": plan.model,
        "model_digest": plan.model_digest,
        "engine": plan.engine,
        "stages": [_stage_to_json(stage) for stage in plan.stages],
        "cuts": [list(cut.values) for cut in plan.cuts],
        "tensors": [spec.to_json() for spec in plan.tensors.values()],
        "inputs": list(plan.inputs),
        "outputs": list(plan.outputs),
        "input": dict(plan.input),
        "output": dict(plan.output),
        **({"weights": plan.weights} if plan.weights else {}),
        **({"examples": dict(plan.examples)} if plan.examples else {}),
        **({"state": [link.to_json() for link in plan.state]} if plan.state else {}),
        **({"guesses": list(plan.guesses)} if plan.guesses else {}),
        **({"codecs": [dict(entry) for entry in plan.codecs]} if plan.codecs else {}),
        "candidates": [dict(candidate) for candidate in plan.candidates],
        "profiles": [dict(profile) for profile in plan.profiles],
        **({"twin_agreement": {k: list(v) for k, v in plan.twin_agreement.items()}} if plan.twin_agreement else {}),
    }


def _stage_to_json(stage: Stage) -> dict[str, Any]:
    document: dict[str, Any] = {
        "file": stage.file,
        "digest": stage.digest,
        "size_bytes": stage.size_bytes,
        "inputs": [spec.to_json() for spec in stage.inputs],
        "outputs": [spec.to_json() for spec in stage.outputs],
        "operators": stage.operators,
    }
    if stage.data is not None:
        document["data"] = asdict(stage.data)
    if stage.twins:  # left out when empty, so that plans without twins keep their digests
        document["twins"] = {engine: asdict(file) for engine, file in stage.twins.items()}
    return document
