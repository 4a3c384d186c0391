"""int8 twins of a plan's ONNX stages, for the device: ONNX Runtime's static quantization, by channel, stage by stage.

The tensors at the cuts stay what they are, so that an int8 prefix meets a float suffix on the same wire. What that
costs the answer is measured for every split, on frames the quantizer did not see.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from partway.errors import InputError, MissingPackage
from partway.partitioner.calibrate.accuracy import CalibrationFrame, UnsplitAnswers, unsplit_answers
from partway.partitioner.calibrate.fit_split import relative_error
from partway.partitioner.plan.chain import Chain, load_folder
from partway.partitioner.plan.plan import Plan, Stage, StageFile
from partway.partitioner.profile.measure import Round, StageTimes, processor_waits, stage_times, timed_round
from partway.proto.tensors import Values

Array = np.ndarray[Any, Any]
Live = Mapping[str, Array]
INT8 = "onnx-int8"
"""The engine's name in the plan: ONNX Runtime on int8 files."""
LEAST_FRAMES = 4
SLOWER = 1.1
"""An int8 stage that takes this many times as long as the float one is not worth its loss. Two medians of equal work,
measured in turns, differ by a few percent."""

log = logging.getLogger("partway.partitioner")


@dataclass(frozen=True, slots=True)
class TwinAgreement:
    """Answers with the first ``k`` stages in int8 against the float model: agreement and accuracy, None if unknown."""

    k: int
    frames: int
    agreement: float | None
    accuracy: float | None
    relative_error: float


def quantized(folder: Path, chain: Chain, frames: Sequence[CalibrationFrame], say: Callable[[int], None]) -> Plan:
    """The plan with int8 twins of its stages, whose files are written beside the stages' own in ``folder``.

    Ranges come from ``frames``; ``say`` is told how many stages are done. A stage that ONNX Runtime cannot quantise
    stays in float, with a warning. Raises InputError when that is every stage, or the plan is of no such kind.
    """
    plan = chain.plan
    if plan.engine != "onnx":
        raise InputError(f"{plan.model} has stages for {plan.engine}; quantize takes ONNX models")
    if any(stage.data is not None for stage in plan.stages):
        raise InputError(f"{plan.model} has a stage of more than 2 GB, which ONNX Runtime's quantizer cannot take")
    lives: list[Live] = [frame.values for frame in frames]
    stages = []
    for k, stage in enumerate(plan.stages):
        stages.append(_with_twin(folder, stage, lives))
        lives = [chain.run(live, k, k + 1) for live in lives]
        say(k + 1)
    if not any(INT8 in stage.twins for stage in stages):
        raise InputError(f"ONNX Runtime can quantize no stage of {plan.model}; use the float plan as it is")
    return replace(plan, stages=tuple(stages))


def _with_twin(folder: Path, stage: Stage, lives: Sequence[Live]) -> Stage:
    others = {engine: file for engine, file in stage.twins.items() if engine != INT8}
    try:
        body = _quantize(folder / stage.file, stage, lives)
    except MissingPackage:
        raise
    except InputError as error:
        log.warning("%s; it stays in float", error)
        return replace(stage, twins=others)
    name = f"{Path(stage.file).stem}.int8.onnx"
    (folder / name).write_bytes(body)
    return replace(stage, twins={**others, INT8: StageFile(name, hashlib.sha256(body).hexdigest(), len(body))})


def compared(chain: Chain, twin: Chain, values: Values, budget_s: float, least: int = 9) -> list[StageTimes]:
    """Times of both chains, run in turns for about ``budget_s`` seconds, because a machine changes its speed."""
    rounds: list[list[Round]] = [[], []]
    begun = perf_counter()
    with processor_waits() as waited_s:
        while len(rounds[0]) <= least or perf_counter() - begun < budget_s:
            for one, own in zip((chain, twin), rounds, strict=True):
                one.timed(values)  # warms the caches, which hold the other chain's weights
                own.append(timed_round(one, values, waited_s))
    return [stage_times(own[1:]) for own in rounds]


def without_slow(folder: Path, plan: Plan, float_s: Sequence[float], int8_s: Sequence[float]) -> Plan:
    """The plan without the int8 stages that are slower here than in float; their files are removed from ``folder``.

    Raises InputError when none is left.
    """
    stages = []
    for stage, exact, coarse in zip(plan.stages, float_s, int8_s, strict=True):
        slow = INT8 in stage.twins and coarse > SLOWER * exact
        if slow:
            (folder / stage.twins[INT8].file).unlink()
        twins = {name: file for name, file in stage.twins.items() if not (slow and name == INT8)}
        stages.append(replace(stage, twins=twins))
    if not any(INT8 in stage.twins for stage in stages):
        ratios = ", ".join(f"{coarse / exact:.1f}" for exact, coarse in zip(float_s, int8_s, strict=True) if exact)
        raise InputError(
            f"every int8 stage of {plan.model} is slower on this machine than in float (times as long: {ratios});"
            " nothing was written; --keep-slow keeps them, for devices that are faster in int8"
        )
    return replace(plan, stages=tuple(stages))


def _quantize(path: Path, stage: Stage, lives: Sequence[Live]) -> bytes:
    """One stage's file in QDQ form, int8 weights by channel and int8 activations, its inputs and outputs as before.

    Weights have 7 bits: x86 processors without VNNI add products of 8-bit weights in 16 bits, which saturate
    (docs/quantize.md has figures). Source: ONNX Runtime's documentation, "Quantize ONNX models", reduce_range.
    """
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingPackage(f"quantize needs onnx ({error}); pip install 'partway[partition]'") from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._remaining = iter(lives)

        def get_next(self) -> dict[str, Array] | None:
            live = next(self._remaining, None)
            return None if live is None else {spec.name: live[spec.name] for spec in stage.inputs}

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # its warnings advise on options that users cannot set here
    with tempfile.TemporaryDirectory() as scratch:
        prepared, int8 = Path(scratch) / "ready.onnx", Path(scratch) / "int8.onnx"
        try:
            quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(int8),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                reduce_range=True,
            )
            return int8.read_bytes()
        except Exception as error:  # the quantizer raises many types
            raise InputError(
                f"ONNX Runtime cannot quantize {path.name}: {' '.join(str(error).split())[:200]}"
            ) from error
        finally:
            logging.root.setLevel(level)


def twin_agreements(chain: Chain, twin: Chain, frames: Sequence[CalibrationFrame]) -> list[TwinAgreement]:
    """For every split k: the first k stages from ``twin``, the others from ``chain``, against all from ``chain``."""
    unsplit, stages = unsplit_answers(chain, frames), len(chain.plan.stages)
    lives: list[Live] = [frame.values for frame in frames]
    rows = []
    for k in chain.plan.splits:
        lives = [twin.run(live, k - 1, k) for live in lives] if k else lives
        answers = [chain.answer(chain.run(live, k, stages)) for live in lives]
        rows.append(_row(k, answers, unsplit, chain.plan))
    return rows


def _row(k: int, answers: Sequence[Live], unsplit: UnsplitAnswers, plan: Plan) -> TwinAgreement:
    pairs = zip(answers, unsplit.answers, strict=True)
    error = float(np.mean([relative_error(ours, right, plan.outputs) for ours, right in pairs]))
    agreement, labels = unsplit.exact.agreement(answers).mean, unsplit.labels
    if labels is None or unsplit.value is None:
        return TwinAgreement(k, len(answers), agreement, None, error)
    found = [int(np.argmax(answer[unsplit.value])) for answer in answers]
    return TwinAgreement(k, len(answers), agreement, _share(found, labels), error)


def _share(found: Sequence[int], right: Sequence[int]) -> float:
    return float(np.mean([a == b for a, b in zip(found, right, strict=True)]))


def with_agreements(plan: Plan, rows: Sequence[TwinAgreement]) -> Plan:
    """The plan with the agreement of its int8 twins; 0 if no frame told anything."""
    shares = [1.0 if row.k == 0 else 0.0 if row.agreement is None else row.agreement for row in rows]
    return replace(plan, twin_agreement={**plan.twin_agreement, INT8: tuple(shares)})


def load_int8(folder: Path, plan: Plan, threads: int) -> Chain:
    """The twins, loaded."""
    from partway.engines.registry import engine_for

    return load_folder(folder, plan, engine_for(INT8, threads))
