"""How pictures become a model's input: from options, from what the file says, and what remains as a guess in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from partway.errors import InputError
from partway.partitioner.formats.usual_pictures import Usual, range_in_words
from partway.partitioner.plan.model_file.model_format import Facts
from partway.partitioner.plan.model_file.wishes import Wishes
from partway.partitioner.plan.pictures.fits import STRETCH, split_crop
from partway.partitioner.plan.preprocess import Preprocess, guess_preprocess
from partway.proto.tensors import Quantization, TensorSpec

RANGE = ("scale", "mean", "std")
NOTHING_USUAL = Usual()
PICTURE_OPTIONS = (*RANGE, "fit", "channels")


def picture_entry(
    specs: Sequence[TensorSpec], wishes: Wishes, facts: Facts, usual: Usual = NOTHING_USUAL
) -> tuple[dict[str, Any], str]:
    """The plan's ``input`` entry, and what of it is guessed, in words; both empty for a model that takes no pictures.

    ``specs`` are the model's inputs; ``usual`` says what models of this kind take, if nobody says it of this one.
    Raises InputError for options that do not fit the input.
    """
    guessed = guess_preprocess(specs[0]) if len(specs) == 1 else None
    if guessed is None:
        _refuse_options(specs, wishes)
        return {}, ""
    known = _settings(wishes, facts)
    _check(known, wishes, guessed)
    likely = _likely(usual, known, guessed)
    made = replace(guessed, **_fields({**likely, **known}, wishes, guessed, specs[0].quantization))
    return made.to_json(), _in_words(made, known, usual.models if likely else "")


def _likely(usual: Usual, known: Mapping[str, Any], guessed: Preprocess) -> dict[str, Any]:
    """The usual fields that are neither known nor out of place for this input."""
    left_out = set(known)
    if known.keys() & set(RANGE) or not _is_float(guessed):
        left_out |= set(RANGE)
    if guessed.channels == 1:
        left_out |= {"order", *(RANGE if len(usual.input.get("mean", ())) == 3 else ())}
    return {name: value for name, value in usual.input.items() if name not in left_out}


def _fields(
    settings: Mapping[str, Any], wishes: Wishes, guessed: Preprocess, meaning: Quantization | None
) -> dict[str, Any]:
    """The fields of Preprocess; the range in the tensor's own numbers."""
    fields = {name: value for name, value in settings.items() if name not in RANGE}
    if settings.keys() & set(RANGE):
        found = _range(settings, guessed, meaning)
        if any(getattr(wishes, name) is not None for name in RANGE) or _says_more(found, guessed):
            fields |= found
    return fields


def _is_float(made: Preprocess) -> bool:
    return bool(np.issubdtype(np.dtype(made.dtype), np.floating))


def _settings(wishes: Wishes, facts: Facts) -> dict[str, Any]:
    """Fields of Preprocess that are known: options count before the file's metadata."""
    own = {name: value for name in (*RANGE, "fit") if (value := getattr(wishes, name)) is not None}
    if wishes.channels is not None:
        own["order"] = wishes.channels
    if "fit" in own:
        own["fit"], own["crop_from"] = split_crop(own["fit"])
    told = dict(facts.input)
    if own.keys() & set(RANGE):
        told = {name: value for name, value in told.items() if name not in RANGE}
    return {**told, **own}


def _check(known: Mapping[str, Any], wishes: Wishes, guessed: Preprocess) -> None:
    for name in ("mean", "std"):
        if name in known and len(known[name]) not in (1, guessed.channels):
            raise InputError(f"--{name} needs 1 or {guessed.channels} numbers, {len(known[name])} were given")
    if wishes.channels in ("RGB", "BGR") and guessed.channels == 1:
        raise InputError(f"--channels {wishes.channels} is for three channels; {guessed.value} has one, GREY")
    if wishes.fit == "digit" and guessed.shape != (28, 28, 1):
        size = f"{guessed.width} x {guessed.height} x {guessed.channels}"
        raise InputError(f"--fit digit is for inputs of 28 x 28 x 1 as of MNIST; {guessed.value} is {size}")


def _range(known: Mapping[str, Any], guessed: Preprocess, meaning: Quantization | None) -> dict[str, Any]:
    """Scale, mean and deviation that give the tensor's numbers, also the integers of a quantised one."""
    scale = known.get("scale", 1 / 255 if meaning is not None else guessed.scale)
    widest = max(len(known.get("mean", (0,))), len(known.get("std", (1,))))
    mean, std = (_widened(known.get(name, neutral), widest) for name, neutral in (("mean", (0.0,)), ("std", (1.0,))))
    mean, std = _quantized(mean, std, meaning)
    return {"scale": scale, "mean": mean, "std": std}


def _says_more(found: Mapping[str, Any], guessed: Preprocess) -> bool:
    """Whether a file's normalisation of an integer input is more than the pixels in other words, or nonsense.

    Runtimes of TFLite metadata give uint8 inputs the pixels themselves and leave the normalisation out.
    """
    if _is_float(guessed):
        return True
    bounds = np.iinfo(guessed.dtype)
    ends = [
        (p * found["scale"] - mean) / std
        for mean, std in zip(found["mean"], found["std"], strict=True)
        for p in (0, 255)
    ]
    inside = all(bounds.min - 1 <= end <= bounds.max + 1 for end in ends)
    return inside and max(ends) - min(ends) < bounds.max - bounds.min - 1


def _quantized(
    mean: tuple[float, ...], std: tuple[float, ...], meaning: Quantization | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that give the integers directly: ``(x - mean) / std`` over the scale, plus the zero point."""
    if meaning is None or len(meaning.scales) != 1:
        return mean, std
    step, zero = meaning.scales[0], meaning.zero_points[0]
    pairs = list(zip(mean, std, strict=True))
    return tuple(m - zero * step * s for m, s in pairs), tuple(s * step for _, s in pairs)


def _widened(values: Sequence[float], count: int) -> tuple[float, ...]:
    return tuple(values) * count if len(values) == 1 else tuple(values)


def _in_words(made: Preprocess, known: Mapping[str, Any], models: str) -> str:
    """What nobody said of the pictures, and the options that say it; empty if all is known.

    ``models``: those that usually take pictures so.
    """
    parts, flags = [], []
    if not known.keys() & set(RANGE) and _is_float(made):
        others = "" if models else " (0..255, -1..1 and ImageNet's mean are as plausible)"
        parts.append(range_in_words(made.scale, made.mean, made.std) + others)
        flags += ["--scale", "--mean", "--std"]
    if "order" not in known and made.channels == 3:
        parts.append(made.order)
        flags.append("--channels")
    if "fit" not in known:
        parts.append("stretched" if made.fit == STRETCH else made.fit)
        flags.append("--fit")
    if not parts:
        return ""
    options = flags[0] if len(flags) == 1 else f"{', '.join(flags[:-1])} or {flags[-1]}"
    return f"{', '.join(parts)}{f', as {models} models take them' if models else ''}; set {options} if wrong"


def _refuse_options(specs: Sequence[TensorSpec], wishes: Wishes) -> None:
    given = [f"--{name}" for name in PICTURE_OPTIONS if getattr(wishes, name) is not None]
    if given:
        inputs = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
        verb = "is" if len(given) == 1 else "are"
        raise InputError(f"{', '.join(given)} {verb} for pictures, which this model does not take (inputs: {inputs})")


def input_size(specs: Sequence[TensorSpec]) -> tuple[int, int] | None:
    """Height and width of an only input that takes pictures."""
    guessed = guess_preprocess(specs[0]) if len(specs) == 1 else None
    return None if guessed is None else (guessed.height, guessed.width)
