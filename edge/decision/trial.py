"""Measurements for the first decision: device and codecs, frames on the link, trials of the best candidates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from partway.edge.decision.ranking import BY_LATENCY, Ranking, measured
from partway.edge.decision.trial_frames import TrialFrames
from partway.edge.pipeline.encoder import Encoder
from partway.edge.sources.files import Sample
from partway.partitioner.decide.candidates import kept_share, mean_bytes, reply_bytes, worthwhile
from partway.partitioner.decide.estimate import Candidate, Estimate, Link, Speeds, estimate, trials, with_measured
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.plan import Plan
from partway.proto.codecs.image import PIXELS, decode_image, is_image_codec, is_lossless_image
from partway.proto.codecs.packing import unpack
from partway.proto.codecs.registry import RAW, codec_names, is_lossless, packs
from partway.proto.frame import decode_request

Array = np.ndarray[Any, Any]
Trial = Callable[[Candidate], "Estimate | None"]
MOST_TRIALS = 6
"""How many candidates are tried at most, if each takes longer than estimated."""
CODEC_RUNS = 7


def measure_candidates(
    chain: Chain, encoder: Encoder, sample: Sample, codecs: Sequence[str] | None = None
) -> list[Candidate]:
    """Every k with every codec that fits, with bytes and times measured on a real sample; all on the device comes last.

    A device that holds only the first stages measures only the splits that they reach.
    """
    plan = chain.plan
    live: Mapping[str, Array] = sample.tensors(encoder.preprocess)
    tensors_s = 0.0 if sample.pixels is None else _median_s(lambda: sample.tensors(encoder.preprocess))
    found: list[Candidate] = []
    for k in range(min(len(plan.stages), len(chain.stages) + 1)):
        live = chain.run(live, k - 1, k) if k else live
        names = _codecs(plan, k, encoder, sample, codecs)
        for codec in names:
            read_s = 0.0 if encoder.sends_pixels(k, codec) else tensors_s
            found.append(replace(_measured(plan, encoder, sample, live, k, codec), read_s=read_s))
    return [*found, Candidate(len(plan.stages), None, read_s=tensors_s)]


def _codecs(plan: Plan, k: int, encoder: Encoder, sample: Sample, requested: Sequence[str] | None) -> list[str]:
    """The codecs that suit split k, out of the requested ones if any were requested."""
    fit = [name for name in codec_names(encoder.book) if any(packs(name, s, encoder.book) for s in plan.coded(k))]
    fit = fit or [RAW]  # only state crosses
    pictures = k == 0 and encoder.preprocess is not None and sample.pixels is not None
    if requested is not None:
        fitting = [name for name in requested if any(packs(name, s, encoder.book) for s in plan.coded(k))]
        return [name for name in requested if name in fitting or (pictures and is_image_codec(name))]
    calibrated = worthwhile(plan, k)
    activation = [name for name in fit if name in (RAW, "fp16") or is_lossless(name) or name in calibrated]
    coded = [name for name in calibrated if is_image_codec(name) and name != PIXELS]
    return [PIXELS, *activation, *coded] if pictures else activation


def _measured(plan: Plan, encoder: Encoder, sample: Sample, live: Mapping[str, Array], k: int, codec: str) -> Candidate:
    message = encoder.frame("0", k, codec, [sample], live)
    entry = next((e for e in plan.candidates if e.get("k") == k and e.get("codec") == codec), {})
    return Candidate(
        k,
        codec,
        mean_bytes(entry, len(message)),
        reply_bytes(plan, k),
        _median_s(lambda: encoder.frame("0", k, codec, [sample], live)),
        _median_s(_decoder(plan, encoder, k, codec, message)),
        is_lossless(codec) or (k == 0 and is_lossless_image(codec)),
        kept_share(entry),
    )


def _decoder(plan: Plan, encoder: Encoder, k: int, codec: str, message: bytes) -> Callable[[], object]:
    """The decoding that the cloud will do, as a call to time."""
    frame = decode_request(message)
    if encoder.sends_pixels(k, codec) and encoder.preprocess is not None:
        body, preprocess = memoryview(frame.raw[0])[4:], encoder.preprocess
        return lambda: preprocess.tensor(decode_image(codec, body, preprocess.shape))
    pairs = list(zip(frame.header.tensors, frame.raw, strict=True))
    return lambda: [unpack(head, data, plan.tensors[head.name], encoder.book) for head, data in pairs]


def _median_s(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CODEC_RUNS):
        begun = perf_counter()
        call()
        times.append(perf_counter() - begun)
    return statistics.median(times)


def decide(
    candidates: Iterable[Candidate],
    speeds: Speeds,
    link: Link | None,
    trial: Trial | None,
    ranking: Ranking = BY_LATENCY,
) -> list[Estimate]:
    """Estimates of every candidate; ``trial`` sends frames through the best two and the best real split.

    A candidate whose trial the cloud refuses keeps its estimate. ``candidates`` are those that the constraints and the
    link admit (``constraints.admitted_candidates``).
    """
    estimates = [estimate(candidate, speeds, link) for candidate in candidates]
    if trial is None:
        return estimates
    tried = {e.candidate: trial(e.candidate) for e in trials(estimates, len(speeds.device_s), order=ranking.order)}
    estimates = _with_tried(estimates, tried)
    while len(tried) < MOST_TRIALS and (best := ranking.best(estimates).candidate) not in tried:
        tried[best] = trial(best)  # earlier ones took longer than estimated; this one may, too
        estimates = _with_tried(estimates, tried)
    return estimates


def _with_tried(estimates: Sequence[Estimate], tried: Mapping[Candidate, Estimate | None]) -> list[Estimate]:
    return with_measured(estimates, {candidate: found for candidate, found in tried.items() if found is not None})


def try_candidate(frames: TrialFrames, candidate: Candidate) -> Estimate | None:
    """Medians over a few real frames through this candidate, sent one at a time; None if the cloud answered none."""
    results = frames(candidate)
    return measured(candidate, results) if results else None


def frame_link(frames: TrialFrames, link: Link, stages: int) -> Link:
    """The link with the round trip of frames: outputs sent on the stream itself, so that the cloud computes nothing.

    A unary probe takes another path through gRPC and overestimates the round trip. The time to transfer the outputs is
    subtracted. If the cloud answers no frame, ``link`` itself is returned.
    """
    results = frames(Candidate(stages, RAW))
    if not results:
        return link
    sent_s = [r.link_s - (r.bytes_sent + r.bytes_received) * 8 / link.bandwidth_bps for r in results]
    return Link(link.bandwidth_bps, max(statistics.median(sent_s), 1e-6))
