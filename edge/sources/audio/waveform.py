"""The input of a model that takes audio samples, and audio cut into its frames."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.plan.inputs import example_values
from partway.partitioner.plan.plan import Plan
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.edge")
Array = np.ndarray[Any, Any]
LEAST = 128
"""Samples of a waveform input at least: 8 ms at 16 kHz. A shorter axis is one of features."""
MOST = 1 << 24
FLOATS, PCM = ("float16", "float32", "float64"), "int16"
_HOP = re.compile(r"([0-9]{1,8})(?:\+([0-9]{1,8}))?")
_RATES = re.compile(r"sr|fs|rate|(sample|sampling)_?rate(_?hz)?", re.IGNORECASE)
_NAMES = re.compile(r"audio|wav|pcm|signal|speech|samples|sound", re.IGNORECASE)


def parse_hop(text: str, flag: str = "--hop") -> tuple[int, int]:
    """New samples, and samples repeated from before, of ``512`` or ``512+64``. Raises InputError."""
    match = _HOP.fullmatch(text)
    hop, before = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if not 0 < hop + before <= MOST or not hop:
        raise InputError(f"{flag} {text!r} is not SAMPLES or SAMPLES+BEFORE, for example 512 or 512+64")
    return hop, before


@cache
def tell(sentence: str) -> None:
    """Log a warning, once: ``--frames`` may read the same file many times."""
    log.warning("%s", sentence)


@dataclass(frozen=True, slots=True)
class Waveform:
    """How audio becomes the input ``spec``: each frame is ``before`` samples of the past and ``hop`` new ones.

    ``others`` are the values of the model's other inputs, the plan's examples.
    """

    spec: TensorSpec
    hop: int
    before: int
    others: Mapping[str, Array] = field(default_factory=dict)

    def inputs(self, samples: Array) -> dict[str, Array]:
        """Every input of a frame of ``before + hop`` float samples, -1 to 1."""
        return {**self.others, self.spec.name: self.tensor(samples)}

    def tensor(self, samples: Array) -> Array:
        """The input of ``before + hop`` float samples, -1 to 1: [samples], [1, samples] or [1, 1, samples]."""
        values = samples.reshape((1,) * (len(self.spec.shape) - 1) + (-1,))
        if self.spec.dtype == PCM:
            return np.rint(values * 32768.0).clip(-32768, 32767).astype(np.int16)
        return values.astype(self.spec.dtype)

    def frames(self, blocks: Iterable[Array], name: str) -> Iterator[Array]:
        """The samples of each frame, from blocks of any size. Silence comes before the first; the last is padded."""
        kept = np.zeros(self.before, np.float32)
        for block in blocks:
            kept = np.concatenate([kept, block])
            whole = max(0, len(kept) - self.before) // self.hop
            for index in range(whole):
                yield kept[index * self.hop : index * self.hop + self.before + self.hop]
            kept = kept[whole * self.hop :]
        if (remaining := len(kept) - self.before) > 0:
            missing = self.hop - remaining
            tell(f"{name}: its last frame has {remaining} samples; {missing} of silence were added")
            yield np.concatenate([kept, np.zeros(missing, np.float32)])


def waveform_of(plan: Plan, name: str, hop: tuple[int, int] | None) -> Waveform:
    """The waveform input of the plan's model and its frames. ``hop`` is the option's, None without one.

    Raises InputError for a model of pictures or features, and where the model leaves the number of samples open.
    """
    spec = _waveform_input(plan, name)
    size = spec.shape[-1]
    if size is None:
        if hop is None:
            raise InputError(
                f"{plan.model} takes any number of samples as {spec.name}; give --hop SAMPLES for {name}, or"
                " --hop SAMPLES+BEFORE if each frame repeats samples of the one before"
            )
        return Waveform(spec, *hop, _others(plan, spec, name))
    new, before = (size, 0) if hop is None else (hop[0], size - hop[0])
    if before < 0 or (hop is not None and hop[1] not in (0, before)):
        raise InputError(f"{plan.model} takes {size} samples a frame as {spec.name}; give --hop of at most {size}")
    return Waveform(spec, new, before, _others(plan, spec, name))


def _others(plan: Plan, waveform: TensorSpec, name: str) -> dict[str, Array]:
    """The plan's examples of the inputs that audio says nothing of. Raises InputError if one has none."""
    examples = example_values(plan)
    wanted = [spec.name for spec in plan.frame_inputs if spec.name != waveform.name]
    missing = [other for other in wanted if other not in examples]
    if missing:
        raise InputError(
            f"{name} gives {waveform.name}, and {plan.model} also needs {', '.join(missing)}; plan it again with"
            f" --example {missing[0]}=VALUE, or give an .npz file"
        )
    return {other: examples[other] for other in wanted}


def _waveform_input(plan: Plan, name: str) -> TensorSpec:
    specs = plan.frame_inputs
    found = [spec for spec in specs if _is_waveform(spec)]
    if len(found) > 1:
        found = [spec for spec in found if _NAMES.search(spec.name)] or found
    if plan.preprocess is not None or not found:
        takes = ", ".join(f"{spec.name} {spec.dtype} {_shape(spec)}" for spec in specs)
        what = "pictures" if plan.preprocess is not None else f"no waveform ({takes})"
        todo = "a picture" if plan.preprocess is not None else "its input tensors as an .npz file"
        raise InputError(f"{plan.model} takes {what}; give {todo} instead of {name}")
    if len(found) > 1:
        names = ", ".join(spec.name for spec in found)
        raise InputError(f"{plan.model} has several inputs that may be audio ({names}); give them as an .npz file")
    return found[0]


def _is_waveform(spec: TensorSpec) -> bool:
    """Whether the input is [samples], [N, samples] or [N, 1, samples] of floats or of 16-bit integers."""
    *outer, samples = spec.shape or (0,)
    if spec.dtype not in FLOATS and (spec.dtype != PCM or spec.quantization is not None):
        return False
    one_signal = len(outer) <= 2 and outer[1:] in ([], [1]) and outer[:1] in ([], [None], [1])
    return one_signal and (samples is None or samples >= LEAST)


def _shape(spec: TensorSpec) -> str:
    return f"[{', '.join('?' if side is None else str(side) for side in spec.shape)}]"


def sample_rate(plan: Plan, rate_hz: int | None, name: str, own_hz: int) -> int:
    """The rate that the model expects, in Hz: the option's, or the plan's example of an input like ``sr``.

    Without both it is ``own_hz``, told as a guess.
    """
    if rate_hz is not None:
        return rate_hz
    stated = next((value for key, value in example_values(plan).items() if _RATES.fullmatch(key)), None)
    if stated is not None and stated.size == 1 and stated.item() >= 1:
        return int(stated.item())
    tell(f"{name}: {plan.model} does not state its sample rate; {own_hz} Hz is a guess (give --rate HZ)")
    return own_hz
