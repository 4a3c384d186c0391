"""What to decide by: measure the device and its codecs, probe the link, try the best candidates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.decision.ranking import BY_LATENCY, Ranking, measured
from partway.edge.pipeline.encoder import Packer
from partway.edge.pipeline.result import NOBODY, FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.errors import PartwayError
from partway.partitioner.decide.candidates import kept_share, mean_bytes, reply_bytes, worthwhile
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate, trials, with_measured
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.image import PIXELS, decode_image, is_image_codec, is_lossless_image
from partway.proto.codecs.packing import unpack
from partway.proto.codecs.registry import RAW, codec_names, is_lossless, packs
from partway.proto.frame import decode_request

Array = np.ndarray[Any, Any]
TRIAL_FRAMES = 8
COLD_FRAMES = 2
MOST_TRIALS = 6
"""Candidates tried at most, where one after another takes longer than was estimated."""
TRIAL_S = 1.5
"""No candidate is tried for longer than this, two frames apart."""
CODEC_RUNS = 7
MAX_PROBE_BYTES = 1 << 20
PATIENCE = 8
"""Round trips that growing probes may take in all; fewer would never get to a size that tells on a far, fast link."""


def measure_candidates(
    chain: Chain, packer: Packer, sample: Sample, codecs: Sequence[str] | None = None
) -> list[Candidate]:
    """Every k with every codec that fits, its bytes and times measured on a real sample; all on the device last.

    A device that holds the first stages only measures the splits they reach.
    """
    plan = chain.plan
    live: Mapping[str, Array] = sample.tensors(packer.preprocess)
    found: list[Candidate] = []
    for k in range(min(len(plan.stages), len(chain.stages) + 1)):
        live = chain.run(live, k - 1, k) if k else live
        names = _codecs(plan, k, packer, sample, codecs)
        found.extend(_measured(plan, packer, sample, live, k, codec) for codec in names)
    return [*found, Candidate(len(plan.stages), None)]


def _codecs(plan: Plan, k: int, packer: Packer, sample: Sample, asked: Sequence[str] | None) -> list[str]:
    """Which codecs make sense at split k; of those asked for, where some were."""
    fit = [name for name in codec_names(packer.book) if any(packs(name, s, packer.book) for s in plan.crossing(k))]
    pictures = k == 0 and packer.preprocess is not None and sample.pixels is not None
    if asked is not None:
        suits = [name for name in asked if any(packs(name, s, packer.book) for s in plan.crossing(k))]
        return [name for name in asked if name in suits or (pictures and is_image_codec(name))]
    calibrated = worthwhile(plan, k)
    activation = [name for name in fit if name in (RAW, "fp16") or is_lossless(name) or name in calibrated]
    coded = [name for name in calibrated if is_image_codec(name) and name != PIXELS]
    return [PIXELS, *activation, *coded] if pictures else activation


def _measured(plan: Plan, packer: Packer, sample: Sample, live: Mapping[str, Array], k: int, codec: str) -> Candidate:
    message = packer.frame("0", k, codec, [sample], live)
    entry = next((e for e in plan.candidates if e.get("k") == k and e.get("codec") == codec), {})
    return Candidate(
        k,
        codec,
        mean_bytes(entry, len(message)),
        reply_bytes(plan),
        _median_s(lambda: packer.frame("0", k, codec, [sample], live)),
        _median_s(_decoder(plan, packer, k, codec, message)),
        is_lossless(codec) or (k == 0 and is_lossless_image(codec)),
        kept_share(entry),
    )


def _decoder(plan: Plan, packer: Packer, k: int, codec: str, message: bytes) -> Callable[[], object]:
    """What the cloud will do to get the values back."""
    frame = decode_request(message)
    if packer.sends_pixels(k, codec) and packer.preprocess is not None:
        body, preprocess = memoryview(frame.raw[0])[4:], packer.preprocess
        return lambda: preprocess.tensor(decode_image(codec, body, preprocess.shape))
    pairs = list(zip(frame.header.tensors, frame.raw, strict=True))
    return lambda: [unpack(head, data, plan.tensors[head.name], packer.book) for head, data in pairs]


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
    trial: Callable[[Candidate], Estimate] | None,
    ranking: Ranking = BY_LATENCY,
) -> list[Estimate]:
    """Estimates of every candidate; ``trial`` sends frames through the best two and the best real split.

    The candidates are those that the constraints and the link admit (limits.left).
    """
    estimates = [estimate(candidate, speeds, link) for candidate in candidates]
    if trial is None:
        return estimates
    tried = {e.candidate: trial(e.candidate) for e in trials(estimates, len(speeds.device_s), order=ranking.order)}
    estimates = with_measured(estimates, tried)
    while len(tried) < MOST_TRIALS and (best := ranking.best(estimates)).measured_s is None:
        tried[best.candidate] = trial(best.candidate)  # those before it took longer than estimated; it may, too
        estimates = with_measured(estimates, tried)
    return estimates


def try_candidate(runner: Runner, sample: Sample, candidate: Candidate) -> Estimate:
    """What a handful of real frames through this candidate take, one at a time: medians."""
    return measured(candidate, _trial_frames(runner, sample, candidate))


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
    if any(result.answered_by == NOBODY for result in results):
        raise PartwayError("the cloud refused trial frames, and this device cannot answer them; check the cloud's log")
    return results[min(COLD_FRAMES, len(results) - 1) :]


def trial_of(runner: Runner, sample: Sample) -> Callable[[Candidate], Estimate]:
    """A trial as decide() wants it."""
    return partial(try_candidate, runner, sample)
