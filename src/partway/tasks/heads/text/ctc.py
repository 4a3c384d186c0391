"""Strings from CTC outputs: a class per step, one of them the blank; repeated classes count once.

Graves et al., "Connectionist temporal classification", ICML 2006, best path decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from partway.errors import InputError

Array = np.ndarray[Any, Any]


def best_path(shares: Array, blank: int) -> tuple[list[int], float]:
    """Classes without blanks and repetitions, and the mean probability of their steps, of ``shares`` [steps, classes].

    Steps that are no numbers count as blank. The mean of none is 0.
    """
    finite = np.isfinite(shares).all(1) if len(shares) else np.zeros(0, bool)
    classes = np.where(finite, np.nan_to_num(shares).argmax(1), blank)
    new = np.ones(len(classes), bool)
    new[1:] = classes[1:] != classes[:-1]
    steps = np.flatnonzero(new & (classes != blank))
    found = classes[steps]
    return found.tolist(), float(shares[steps, found].mean()) if len(steps) else 0.0


def characters(labels: Sequence[str], classes: int, blank: int) -> list[str]:
    """The character of each of ``classes`` classes, empty for the blank.

    A file of characters may hold all classes, all but the blank, or neither the blank nor the space that PaddleOCR adds
    as the last class. Raises InputError for another number of labels.
    """
    blank %= max(classes, 1)
    if len(labels) == classes:
        return [*labels[:blank], "", *labels[blank + 1 :]]
    listed = list(labels) + ([" "] if len(labels) == classes - 2 else [])
    if len(listed) != classes - 1:
        raise InputError(
            f"{len(labels)} labels do not fit a model of {classes} classes; give its own characters file,"
            f" {classes - 1} lines, or {classes - 2} if the last class is a space"
        )
    return [*listed[:blank], "", *listed[blank:]]
