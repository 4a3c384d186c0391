"""The codecs by name: families found through the entry points ``partway.codecs``, codecs created by name.

``raw`` is the uncoded tensor, not a codec. Lookups by name are cached: one runs for every tensor of every frame.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from partway.errors import InputError, PartwayError
from partway.plugins import Registry, did_you_mean
from partway.proto.codecs.interface import Codec, CodecFamily
from partway.proto.tensors import TensorSpec

RAW = "raw"
Codebook = Mapping[str, Mapping[str, Codec]]
"""Codecs fitted to one model, from its plan: by codec name, then by value name."""
NO_BOOK: Codebook = {}
MAX_NAME = 32
"""Longer names are not looked up: lookups are cached, and a peer may send any text."""
_ENTRIES: Registry[CodecFamily] = Registry("partway.codecs", "codec")
log = logging.getLogger("partway")


@cache
def own_families() -> tuple[CodecFamily, ...]:
    """The families that ship with Partway."""
    return tuple(sorted(map(_ENTRIES.get, _ENTRIES.own_names()), key=_rank))


@cache
def families() -> tuple[CodecFamily, ...]:
    """Every family. An entry of another package that is no family is left out with a warning."""
    found = []
    for entry in _ENTRIES:
        if isinstance(entry, CodecFamily):
            found.append(entry)
        else:
            log.warning("a codec of another package is ignored: %r is no CodecFamily", entry)
    return tuple(sorted(found, key=_rank))


def _rank(family: CodecFamily) -> int:
    return family.rank


def family_of(name: str) -> CodecFamily | None:
    """The family that ``name`` belongs to, None for an unknown name. Other packages are searched last."""
    return _family_of(name) if len(name) <= MAX_NAME else None


@lru_cache(maxsize=1024)
def _family_of(name: str) -> CodecFamily | None:
    own = next((family for family in own_families() if family.matches(name)), None)
    return own or next((family for family in families() if family.matches(name)), None)


@lru_cache(maxsize=1024)
def codec(name: str) -> Codec:
    """The codec of this name. Raises InputError when it is unknown, or fitted to a model and therefore in its plan."""
    family = family_of(name)
    if family is None:
        raise unknown_codec(name, [*codec_names(), *picture_labels()])
    if family.make is None:
        raise InputError(f"codec {name} is fitted to one model; use a plan that was calibrated")
    try:
        return family.make(name)
    except PartwayError:
        raise
    except Exception as error:  # whatever another package raises
        raise InputError(f"codec {name} cannot be made ({type(error).__name__}: {error})") from error


def tensor_codec(name: str) -> Codec | None:
    """The codec of activations of this name; None for any other name, ``raw`` and fitted codecs among them."""
    return _tensor_codec(name) if len(name) <= MAX_NAME else None


@lru_cache(maxsize=1024)
def _tensor_codec(name: str) -> Codec | None:
    family = _family_of(name)
    return None if family is None or family.pictures or family.make is None else codec(name)


def picture_codec(name: str) -> Codec | None:
    """The codec of pictures of this name; None for any other name."""
    return _picture_codec(name) if len(name) <= MAX_NAME else None


@lru_cache(maxsize=1024)
def _picture_codec(name: str) -> Codec | None:
    family = _family_of(name)
    return codec(name) if family is not None and family.pictures else None


def codec_names(book: Codebook = NO_BOOK) -> list[str]:
    """The activation codecs that calibration measures, ``raw`` first, those of a plan last."""
    named = (name for family in families() if not family.pictures for name in family.names)
    return [RAW, *named, *book]


def picture_names() -> list[str]:
    """The codecs of pictures that calibration measures."""
    return [name for family in families() if family.pictures for name in family.names]


def picture_labels() -> list[str]:
    """The families of pictures in a few letters: ``u8``, ``jpegQ``."""
    return [family.label for family in families() if family.pictures]


def is_fitted(name: str) -> bool:
    """Whether this is the name of a codec that a plan contains: ``t40`` has steps of 40 % of a standard deviation."""
    family = family_of(name)
    return family is not None and family.make is None


def is_taken(name: str) -> bool:
    """Whether no plan may give this name to a codec of its own."""
    return name == RAW or (family_of(name) is not None and not is_fitted(name))


def is_known(name: str, book: Codebook = NO_BOOK) -> bool:
    """Whether this is ``raw`` or a codec of activations, including the plan's."""
    return name == RAW or name in book or tensor_codec(name) is not None


def is_lossless(name: str) -> bool:
    """Whether decoding gives back an identical tensor; fitted codecs never do."""
    found = tensor_codec(name)
    return name == RAW or (found is not None and found.lossless)


def find(name: str, value: str, book: Codebook) -> Codec | None:
    """The codec of this name for one value: a general codec, else one of the plan's."""
    return tensor_codec(name) or book.get(name, {}).get(value)


def packs(name: str, spec: TensorSpec, book: Codebook = NO_BOOK) -> bool:
    """Whether this codec makes sense for a tensor of this description."""
    found = find(name, spec.name, book)
    return name == RAW or (found is not None and found.packs(spec))


def check_codec(name: str) -> None:
    """Raise InputError unless ``name`` is ``auto``, ``raw`` or a codec's; fitted ones are in the plan."""
    if name not in ("auto", RAW) and family_of(name) is None:
        fitted = [family.label for family in families() if family.make is None]
        raise unknown_codec(name, ["auto", *codec_names(), *fitted, *picture_labels()])


def unknown_codec(name: object, choices: Sequence[str], where: str = "", kind: str = "codec") -> InputError:
    """The error to raise for a name that is not among ``choices``; suggests one that is close."""
    names = [name for family in families() if family.label in choices for name in (family.label, *family.names)]
    hint = did_you_mean(name, [*choices, *names]) if isinstance(name, str) and len(name) <= MAX_NAME else ""
    return InputError(f"unknown {kind} {name!r:.40}{hint or ';'} known{where}: {', '.join(choices)}")


def codec_help() -> str:
    """What ``--codec`` takes, for its help text: the families that ship with Partway."""
    tensors = (family.label for family in own_families() if not family.pictures)
    pictures = (family.label for family in own_families() if family.pictures)
    return f"raw, {', '.join(tensors)}; at split 0 also {', '.join(pictures)}"
