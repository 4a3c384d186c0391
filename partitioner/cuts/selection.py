"""Select the few cuts of a chain from all legal ones: those without which some situation would be much slower."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from partway.partitioner.cuts.situations import Floats, Regrets

PROMISED_MEAN, PROMISED_WORST = 0.03, 0.10
MEAN, WORST = 0.012, 0.04
"""A chain is good enough when its regret is below these in every setting. That is less than what is promised, because
times and bytes of the day are not those that were measured."""
LEAST_GAIN = 0.05
"""What a cut has to gain while a promise is not kept."""
BOUNDARY = 0.005
"""What a cut has to gain, as a mean regret, once all promises are kept: half of what a boundary costs a chain (1 to 2 %
of the model, benchmarks/chain.py), because a frame waits for the link besides."""


def chosen_splits(
    regrets: Regrets,
    prefix_s: Floats,
    candidates: Sequence[int],
    fixed: Collection[int],
    most: int,
    least_share: float,
) -> tuple[int, ...]:
    """Splits of a chain in order: ``fixed`` ones and at most ``most`` of the candidates.

    ``prefix_s`` are the seconds before each split; two of a chain have ``least_share`` of all between them.

    One after another, each that which lowers the sum of mean and worst regrets the most, in units of what is allowed;
    until all are low enough, or the best one gains less than its boundary costs. Splits that later ones made
    superfluous leave again.
    """
    chain = sorted(fixed)
    apart_s = least_share * float(prefix_s[-1])
    while len(chain) - len(fixed) < most and not _enough(regrets, chain):
        waiting = [one for one in candidates if one not in chain and _apart(prefix_s, chain, one, apart_s)]
        if not waiting:
            break
        now = _loss(regrets.table[:, chain].min(axis=1)[:, None])[0]
        losses = _losses(regrets, chain, waiting)
        best = int(losses.argmin())
        if now - losses[best] < (BOUNDARY / PROMISED_MEAN if _kept(regrets, chain) else LEAST_GAIN):
            break
        chain = sorted([*chain, waiting[best]])
    return tuple(_pruned(regrets, chain, fixed))


def _apart(prefix_s: Floats, chain: Sequence[int], one: int, apart_s: float) -> bool:
    """Whether a split has enough work between it and those of the chain; before it, any work is enough.

    The first stage may be short: looking up the words of a text takes no time, and keeps the text on the device.
    """
    later = [split for split in chain if split]
    return bool(prefix_s[one] > 0 and np.abs(prefix_s[later] - prefix_s[one]).min() >= apart_s)


def _enough(regrets: Regrets, chain: Sequence[int]) -> bool:
    return all(one.mean <= MEAN and one.worst <= WORST for one in regrets.of(chain))


def _kept(regrets: Regrets, chain: Sequence[int]) -> bool:
    return all(one.mean <= PROMISED_MEAN and one.worst <= PROMISED_WORST for one in regrets.of(chain))


def _losses(regrets: Regrets, chain: Sequence[int], waiting: Sequence[int]) -> Floats:
    least = regrets.table[:, chain].min(axis=1)
    return np.array([_loss(np.minimum(least, regrets.table[:, one])[:, None])[0] for one in waiting])


def _loss(least: Floats) -> Floats:
    """[setting, chain, situation] to [chain]."""
    loss: Floats = (least.mean(axis=2) / PROMISED_MEAN + least.max(axis=2) / PROMISED_WORST).sum(axis=0)
    return loss.round(9)  # so that machines that add up in another order choose alike


def _pruned(regrets: Regrets, chain: Sequence[int], fixed: Collection[int]) -> list[int]:
    for split in [one for one in chain if one not in fixed]:
        without = [one for one in chain if one != split]
        if _enough(regrets, without):
            chain = without
    return list(chain)
