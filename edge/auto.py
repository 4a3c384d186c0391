"""Decide where to split: measure the device, ask the cloud, probe the link, try the best candidates, and say why."""

from __future__ import annotations

import difflib
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.frames import FrameResult
from partway.edge.packing import Packer
from partway.edge.runner import Runner
from partway.edge.sources import Sample
from partway.partitioner.chain import Chain
from partway.partitioner.estimate import Candidate, Estimate, Link, Speeds, choose, estimate, trials, with_measured
from partway.partitioner.plan import Plan
from partway.proto.codecs import CODECS, RAW, packs, unpack
from partway.proto.errors import InputError, PartwayError
from partway.proto.frame import decode_request
from partway.proto.images import PIXELS, decode_image, is_image_codec, is_lossless_image
from partway.proto.units import show_s

Array = np.ndarray[Any, Any]
TRIAL_FRAMES = 8
COLD_FRAMES = 2
MOST_TRIALS = 6
"""Candidates tried at most, where one after another takes longer than was estimated."""
TRIAL_S = 1.5
"""No candidate is tried for longer than this, two frames apart."""
CODEC_RUNS = 7
REPLY_OVERHEAD_BYTES = 160
MAX_PROBE_BYTES = 1 << 20
PATIENCE = 8
"""Round trips that growing probes may take in all; fewer would never get to a size that tells on a far, fast link."""


@dataclass(frozen=True, slots=True)
class Decision:
    """All admitted candidates with their estimates, the chosen one, and the reason in one sentence."""

    estimates: tuple[Estimate, ...]
    chosen: Estimate
    reason: str
    link: Link | None
    link_measured: bool


def measure_candidates(
    chain: Chain, packer: Packer, sample: Sample, codecs: Sequence[str] | None = None
) -> list[Candidate]:
    """Every k with every codec that fits, its bytes and times measured on a real sample; all on the device last."""
    plan = chain.plan
    live: Mapping[str, Array] = sample.tensors(packer.preprocess)
    found: list[Candidate] = []
    for k, _ in enumerate(plan.stages):
        live = chain.run(live, k - 1, k) if k else live
        names = _codecs(plan, k, packer, sample, codecs)
        found.extend(_measured(plan, packer, sample, live, k, codec) for codec in names)
    return [*found, Candidate(len(plan.stages), None)]


def _codecs(plan: Plan, k: int, packer: Packer, sample: Sample, asked: Sequence[str] | None) -> list[str]:
    """Which codecs make sense at split k; of those asked for, where some were."""
    activation = [RAW, *(name for name in CODECS if any(packs(name, spec) for spec in plan.crossing(k)))]
    pictures = k == 0 and packer.preprocess is not None and sample.pixels is not None
    if asked is not None:
        return [name for name in asked if name in activation or (pictures and is_image_codec(name))]
    known = [str(entry.get("codec")) for entry in plan.candidates if entry.get("k") == k]
    coded = [name for name in known if is_image_codec(name) and name != PIXELS]
    return [PIXELS, *activation, *coded] if pictures else activation


def _measured(plan: Plan, packer: Packer, sample: Sample, live: Mapping[str, Array], k: int, codec: str) -> Candidate:
    message = packer.frame("0", k, codec, [sample], live)
    entry = next((e for e in plan.candidates if e.get("k") == k and e.get("codec") == codec), {})
    return Candidate(
        k,
        codec,
        len(message),
        sum(plan.tensors[name].size_bytes() for name in plan.outputs) + REPLY_OVERHEAD_BYTES,
        _median_s(lambda: packer.frame("0", k, codec, [sample], live)),
        _median_s(_decoder(plan, packer, k, codec, message)),
        codec == RAW or (k == 0 and is_lossless_image(codec)),
        entry.get("agreement"),
    )


def _decoder(plan: Plan, packer: Packer, k: int, codec: str, message: bytes) -> Callable[[], object]:
    """What the cloud will do to get the values back."""
    frame = decode_request(message)
    if packer.sends_pixels(k, codec) and packer.preprocess is not None:
        body, preprocess = memoryview(frame.raw[0])[4:], packer.preprocess
        return lambda: preprocess.tensor(decode_image(codec, body, preprocess.shape))
    pairs = list(zip(frame.header.tensors, frame.raw, strict=True))
    return lambda: [unpack(head, data, plan.tensors[head.name]) for head, data in pairs]


def _median_s(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CODEC_RUNS):
        begun = perf_counter()
        call()
        times.append(perf_counter() - begun)
    return statistics.median(times)


def probe_link(probe: Callable[[int], float], limit_s: float = 0.25) -> Link:
    """Round trip as the median of small probes; bandwidth from growing ones, until one takes long enough to tell."""
    small = sorted(probe(16) for _ in range(9))
    rtt_s = small[len(small) // 2]
    size = 16 << 10
    bandwidth_bps = 0.0
    limit_s = max(limit_s, PATIENCE * rtt_s)
    begun = perf_counter()
    while size <= MAX_PROBE_BYTES:
        took = min(probe(size), probe(size)) if perf_counter() - begun < limit_s / 4 else probe(size)
        bandwidth_bps = size * 8 / max(took - rtt_s, took * 0.05)
        if took - rtt_s > max(0.02, 2 * rtt_s) or perf_counter() - begun > limit_s:
            break
        size *= 4
    return Link(bandwidth_bps, rtt_s)


def decide(
    candidates: Iterable[Candidate],
    speeds: Speeds,
    link: Link | None,
    max_drop: float,
    trial: Callable[[Candidate], float] | None,
) -> list[Estimate]:
    """Estimates of every admitted candidate; ``trial`` sends frames through the best two and the best real split."""
    admitted = [c for c in candidates if c.admitted(max_drop) and (link is not None or c.codec is None)]
    estimates = [estimate(candidate, speeds, link) for candidate in admitted]
    if trial is None:
        return estimates
    measured = {e.candidate: trial(e.candidate) for e in trials(estimates, len(speeds.device_s))}
    estimates = with_measured(estimates, measured)
    while len(measured) < MOST_TRIALS and (best := choose(estimates)).measured_s is None:
        measured[best.candidate] = trial(best.candidate)  # those before it took longer than estimated; it may, too
        estimates = with_measured(estimates, measured)
    return estimates


def try_candidate(runner: Runner, sample: Sample, candidate: Candidate) -> float:
    """Median seconds of a handful of real frames through this candidate, one at a time."""
    return statistics.median(result.total_s for result in _trial_frames(runner, sample, candidate))


def frame_link(runner: Runner, sample: Sample, link: Link, stages: int) -> Link:
    """The link with the round trip of frames: empty ones on the very stream, where nothing is left for the cloud to do.

    A unary probe takes another way through gRPC and overestimates it. The bytes of the outputs are taken off.
    """
    results = _trial_frames(runner, sample, Candidate(stages, RAW))
    sent_s = [r.link_s - (r.bytes_sent + r.bytes_received) * 8 / link.bandwidth_bps for r in results]
    return Link(link.bandwidth_bps, max(statistics.median(sent_s), 1e-6))


def _trial_frames(runner: Runner, sample: Sample, candidate: Candidate) -> list[FrameResult]:
    """Frames one at a time: TRIAL_FRAMES of them, or as many as TRIAL_S allows; the first, cold ones apart."""
    kept, runner.window, runner.batch = (runner.window, runner.batch), 1, 1
    results: list[FrameResult] = []
    begun_s = perf_counter()
    try:
        while len(results) < TRIAL_FRAMES + COLD_FRAMES:
            results += runner.run([sample], lambda: candidate, first_id=-1 - len(results))
            if perf_counter() - begun_s > TRIAL_S and len(results) > 1:
                break
    finally:
        runner.window, runner.batch = kept
    if runner.lost is not None:
        raise PartwayError(f"{runner.lost} during the first trial frames; check the cloud's log")
    return results[min(COLD_FRAMES, len(results) - 1) :]


def trial_of(runner: Runner, sample: Sample) -> Callable[[Candidate], float]:
    """A trial as decide() wants it."""
    return partial(try_candidate, runner, sample)


def restrict(estimates: Sequence[Estimate], split: str, plan: Plan) -> list[Estimate]:
    """The estimates that ``--split`` allows. Raises InputError naming the range or the nearest value."""
    if split == "auto":
        return list(estimates)
    k = split_number(split, plan)
    allowed = [e for e in estimates if e.candidate.k == k]
    if not allowed:
        raise InputError(f"split {k} has no codec left; give another --codec or a larger --max-drop")
    return allowed


def split_number(split: str, plan: Plan) -> int:
    """k of ``device``, ``cloud``, a number, or the name of a value that crosses."""
    stages = len(plan.stages)
    named = {"device": stages, "cloud": 0} | {str(cut): k for k, cut in enumerate(plan.cuts)}
    named |= {value: k for k, cut in enumerate(plan.cuts) if len(cut.values) == 1 for value in cut.values}
    if split in named:
        return named[split]
    if re.fullmatch("[+-]?[0-9]{1,9}", split):
        if 0 <= int(split) <= stages:
            return int(split)
        raise InputError(
            f"split {split} is out of range; {plan.model} has splits 0 (all in the cloud) to"
            f" {stages} (all on the device)"
        )
    close = difflib.get_close_matches(split, named, 1, 0.0)
    raise InputError(
        f"no cut is called {split!r}; did you mean {close[0]}? Known: auto, {', '.join(named)}, or 0 to {stages}"
    )


def reason(chosen: Estimate, estimates: Sequence[Estimate], plan: Plan) -> str:
    """Why, in one sentence."""
    stages = len(plan.stages)
    splits = [e for e in estimates if 0 < e.candidate.k < stages]
    rest = [e for e in estimates if e is not chosen]
    mine = f"{describe(chosen.candidate, plan)}: {show_s(chosen.best_known_s)}"
    if not rest:
        return f"{mine}; nothing else was allowed"
    if 0 < chosen.candidate.k < stages:
        rival = choose([e for e in rest if not 0 < e.candidate.k < stages] or rest)
        return f"{mine} against {show_s(rival.best_known_s)} {_whole(rival, plan)}"
    if not splits:
        rival = choose(rest)
        return f"{mine} against {show_s(rival.best_known_s)} for {describe(rival.candidate, plan)}"
    split = choose([e for e in splits if e.measured_s is not None] or splits)
    verb = "do not split" if chosen.candidate.k in (0, stages) else ""
    return (
        f"{verb}: {mine} against {show_s(split.best_known_s)} for the best split (k = {split.candidate.k}) on this link"
    )


def _whole(rival: Estimate, plan: Plan) -> str:
    return {0: "all in the cloud", len(plan.stages): "all on the device"}.get(rival.candidate.k, "for the next best")


def describe(candidate: Candidate, plan: Plan) -> str:
    """A candidate in words."""
    if candidate.k == len(plan.stages) and candidate.codec is None:
        return "all on the device"
    if candidate.k == 0:
        return f"all in the cloud ({candidate.codec})"
    return f"split {candidate.k} at {plan.cuts[candidate.k]} ({candidate.codec})"


def settle(
    estimates: Sequence[Estimate], allowed: Sequence[Estimate], plan: Plan, link: Link | None, measured: bool
) -> Decision:
    """Choose among the allowed and put everything into a Decision."""
    chosen = choose(allowed)
    asked = len(allowed) < len(estimates) or len(estimates) == 1
    words = f"{describe(chosen.candidate, plan)}, as asked" if asked else reason(chosen, estimates, plan)
    return Decision(tuple(estimates), chosen, words, link, measured)
