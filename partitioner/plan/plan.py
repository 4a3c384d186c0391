"""The plan: what a model's chain of stages is, as data that goes to JSON, travels over the wire and has a digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from partway.engines.registry import files_of
from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.plan.validate import check_plan
from partway.proto.tensors import TensorSpec
from partway.system.files import unreadable

PLAN_FILE = "plan.json"
FORMAT = 1
DIGEST = re.compile(r"[0-9a-f]{64}")


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
        """Of both files."""
        return self.size_bytes + (self.data.size_bytes if self.data else 0)

    @property
    def files(self) -> tuple[StageFile, ...]:
        """Its file, the file beside it, and those of its twins."""
        beside = () if self.data is None else (self.data,)
        return (StageFile(self.file, self.digest, self.size_bytes), *beside, *self.twins.values())

    def on(self, twin: str) -> Stage:
        """The stage as its twin has it. KeyError when there is none of this name."""
        chosen = self.twins[twin]
        return replace(self, file=chosen.file, digest=chosen.digest, size_bytes=chosen.size_bytes, data=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The persisted decision space of one model.

    ``cuts`` has one entry more than ``stages``: ``cuts[k]`` is what crosses at split k, so ``cuts[0]`` holds the
    model's inputs and ``cuts[-1]`` what is left to send when the device has run everything (the model's outputs).
    ``tensors`` describes every value named by a cut or a model output.
    ``input`` says how an image becomes the model's input, ``output`` how to read its answer (see preprocess.py);
    ``codecs`` holds the parameters of codecs fitted to this model (see proto/fitted.py).
    ``weights`` says where those of a model made by name come from, ``random …`` where they were never trained.
    ``candidates``, ``profiles`` and ``twin_agreement`` are measurements and do not take part in the digest;
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

    @property
    def splits(self) -> range:
        """Every legal split k: 0 is all in the cloud, ``len(stages)`` all on the device."""
        return range(len(self.stages) + 1)

    def crossing(self, k: int) -> tuple[TensorSpec, ...]:
        """The tensors that cross at split k, in wire order."""
        return tuple(self.tensors[name] for name in self.cuts[k].values)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that can run every stage, the plan's own first."""
        twins = [name for name in self.stages[0].twins if all(name in stage.twins for stage in self.stages)]
        return (self.engine, *(name for name in twins if name != self.engine))

    def stages_on(self, engine: str) -> tuple[Stage, ...]:
        """The stages with the files this engine runs. Raises InputError when the plan has none for it."""
        files = files_of(engine)
        if files == self.engine:
            return self.stages
        if files not in self.engines:
            has = ", ".join(self.engines)
            raise InputError(f"model {self.model} has no stages for engine {engine!r}; it has them for: {has}")
        return tuple(stage.on(files) for stage in self.stages)

    @property
    def batches(self) -> bool:
        """Whether every tensor has a dynamic first dimension, so that several frames can run as one."""
        return all(spec.shape and spec.shape[0] is None for spec in self.tensors.values())

    @property
    def digest(self) -> str:
        """SHA-256 over everything that changes an answer; measurements apart. Both halves must agree on it."""
        data = plan_to_json(self)
        for measured in ("candidates", "profiles", "twin_agreement", "digest"):
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
        **({"codecs": [dict(entry) for entry in plan.codecs]} if plan.codecs else {}),
        "candidates": [dict(candidate) for candidate in plan.candidates],
        "profiles": [dict(profile) for profile in plan.profiles],
        **({"twin_agreement": {k: list(v) for k, v in plan.twin_agreement.items()}} if plan.twin_agreement else {}),
    }


def plan_from_json(data: Mapping[str, Any], source: str = "the plan") -> Plan:
    """Inverse of plan_to_json. Raises InputError, naming ``source``, when this is no plan or its parts disagree."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise InputError(f"{source} is not a plan of format {FORMAT}; write it again with `partway plan`")
    try:
        plan = _plan_from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{source} is damaged ({error}); write it again with `partway plan`") from error
    check_plan(plan, source)
    if data.get("digest", plan.digest) != plan.digest:
        raise InputError(f"{source} was changed after it was written; write it again with `partway plan`")
    return plan


def save_plan(plan: Plan, folder: Path) -> Path:
    """Write plan.json beside the stage files; returns its path."""
    path = folder / PLAN_FILE
    text = json.dumps({**plan_to_json(plan), "digest": plan.digest}, indent=1)
    part = path.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
    return path


def load_plan(path: Path) -> Plan:
    """The plan in a folder, or in a plan.json given by name. Raises InputError when there is none or it is damaged."""
    file = path
    try:
        file = path / PLAN_FILE if path.is_dir() else path
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"there is no {PLAN_FILE} in {path}; make one with `partway plan MODEL --out {path}`"
        ) from None
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}; check the path and who may read it") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read as a plan ({error}); write it again with `partway plan`") from error
    return plan_from_json(data, str(file))


def read_stage(folder: Path, stage: Stage) -> bytes:
    """A stage file's bytes, checked against its digest. Raises InputError when it is missing or has changed."""
    if not stage.file:
        raise InputError("this plan holds measured times only, its stages have no files; slice the model itself")
    path = folder / stage.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"stage file {unreadable(path, error)}; slice the model again if it is missing") from error
    if hashlib.sha256(data).hexdigest() != stage.digest:
        raise InputError(f"stage file {path} is not the one the plan names (digest differs); slice the model again")
    return data


def _shares(given: Sequence[Any], count: int) -> tuple[float, ...]:
    shares = tuple(float(share) for share in given)
    if len(shares) != count or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"twin_agreement needs {count} shares from 0 to 1")
    return shares


def _stage_to_json(stage: Stage) -> dict[str, Any]:
    made: dict[str, Any] = {
        "file": stage.file,
        "digest": stage.digest,
        "size_bytes": stage.size_bytes,
        "inputs": [spec.to_json() for spec in stage.inputs],
        "outputs": [spec.to_json() for spec in stage.outputs],
        "operators": stage.operators,
    }
    if stage.data is not None:
        made["data"] = asdict(stage.data)
    if stage.twins:  # left out where there are none: plans without twins keep their digests
        made["twins"] = {engine: asdict(file) for engine, file in stage.twins.items()}
    return made


def _stage_from_json(data: Mapping[str, Any]) -> Stage:
    measured_only = not data["file"] and not data.get("digest")
    file, digest, size_bytes = ("", "", int(data["size_bytes"])) if measured_only else _file_from_json(data)
    inputs, outputs = (tuple(TensorSpec.from_json(spec) for spec in data[key]) for key in ("inputs", "outputs"))
    beside = None if data.get("data") is None else StageFile(*_file_from_json(data["data"]))
    if beside is not None and beside.file == file:
        raise ValueError(f"{file} is named as its own data file")
    twins = {str(engine): StageFile(*_file_from_json(twin)) for engine, twin in data.get("twins", {}).items()}
    return Stage(file, digest, size_bytes, inputs, outputs, int(data["operators"]), beside, twins)


def _file_from_json(data: Mapping[str, Any]) -> tuple[str, str, int]:
    file = str(data["file"])
    if Path(file).name != file or file in ("", ".", "..") or "\0" in file:
        raise ValueError(f"stage file name {file!r:.80} is not a plain file name")
    digest, size_bytes = str(data["digest"]), int(data["size_bytes"])
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"the digest {digest!r:.80} of {file} is no SHA-256")
    if size_bytes < 0:
        raise ValueError(f"{file} has {size_bytes} bytes")
    return file, digest, size_bytes


def _plan_from_json(data: Mapping[str, Any]) -> Plan:
    tensors = [TensorSpec.from_json(spec) for spec in data["tensors"]]
    return Plan(
        model=str(data["model"]),
        model_digest=str(data["model_digest"]),
        engine=str(data["engine"]),
        stages=tuple(_stage_from_json(stage) for stage in data["stages"]),
        cuts=tuple(Cut(tuple(str(value) for value in cut)) for cut in data["cuts"]),
        tensors={spec.name: spec for spec in tensors},
        inputs=tuple(str(name) for name in data["inputs"]),
        outputs=tuple(str(name) for name in data["outputs"]),
        input=dict(data.get("input", {})),
        output=dict(data.get("output", {})),
        codecs=tuple(dict(entry) for entry in data.get("codecs", ())),
        candidates=tuple(dict(candidate) for candidate in data.get("candidates", ())),
        profiles=tuple(dict(profile) for profile in data.get("profiles", ())),
        twin_agreement={str(k): _shares(v, len(data["cuts"])) for k, v in data.get("twin_agreement", {}).items()},
        weights=str(data.get("weights", "")),
    )
