"""The file of a plan: ``plan.json`` read, checked and written, and the stage files beside it read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.plan import FORMAT, Plan, Stage, StageFile, plan_to_json
from partway.partitioner.plan.state import StateLink
from partway.partitioner.plan.validate import check_plan
from partway.proto.tensors import TensorSpec
from partway.system.files import unreadable

PLAN_FILE = "plan.json"
DIGEST = re.compile(r"[0-9a-f]{64}")


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
        examples={str(name): dict(example) for name, example in data.get("examples", {}).items()},
        state=tuple(StateLink.from_json(link) for link in data.get("state", ())),
        guesses=tuple(str(sentence) for sentence in data.get("guesses", ())),
    )


def _shares(values: Sequence[Any], count: int) -> tuple[float, ...]:
    shares = tuple(float(share) for share in values)
    if len(shares) != count or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"twin_agreement needs {count} shares from 0 to 1")
    return shares
