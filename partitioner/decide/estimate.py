"""Estimate the seconds of one frame on each candidate, part by part.

``total_s = read_s + prefix_s + encode_s + link_s + queue_s + decode_s + suffix_s`` with
``link_s = (bytes there + bytes back) * 8 / bandwidth_bps + rtt_s`` (Neurosurgeon, ASPLOS'17, the codec's time charged).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from partway.units import show_bps, show_s


@dataclass(frozen=True, slots=True)
class Link:
    """Bandwidth in bits per second and round trip of an empty frame in seconds."""

    bandwidth_bps: float
    rtt_s: float

    def transfer_s(self, size_bytes: float) -> float:
        """Seconds a frame of this size spends on the link, round trip included."""
        return size_bytes * 8 / self.bandwidth_bps + self.rtt_s

    def __str__(self) -> str:
        return f"{show_bps(self.bandwidth_bps)}, {show_s(self.rtt_s)} round trip"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to answer a frame: the split k and the codec of the crossing values, with the codec's measurements.

    ``codec`` is None when nothing crosses (all on the device). ``agreement`` is the share of calibration frames
    answered like the unsplit model, None where it was not measured; ``lossless`` codecs need no such measurement.
    ``read_s``: seconds to make tensors from a picture, 0 where the picture itself is sent.
    """

    k: int
    codec: str | None
    size_bytes: int = 0
    reply_bytes: int = 0
    encode_s: float = 0.0
    decode_s: float = 0.0
    lossless: bool = True
    agreement: float | None = None
    read_s: float = 0.0

    def admitted(self, max_drop: float) -> bool:
        """Whether the codec costs at most ``max_drop`` points of agreement; 100 admits the unmeasured too."""
        if self.lossless or max_drop >= 100:
            return True
        return (
            self.agreement is not None and (1 - self.agreement) * 100 <= max_drop + 1e-9
        )  # 0.99 is one point, not more


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted seconds of one candidate, part by part.

    Trial frames fill in ``measured_s``, their total, and ``measured``: the parts, and a candidate with the bytes, as
    those frames had them.
    """

    candidate: Candidate
    prefix_s: float = 0.0
    encode_s: float = 0.0
    link_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    suffix_s: float = 0.0
    measured_s: float | None = None
    measured: Estimate | None = None
    read_s: float = 0.0

    @property
    def best_known(self) -> Estimate:
        """The measured parts if trial frames were sent, else the estimate."""
        return self.measured or self

    @property
    def cloud_s(self) -> float:
        """Seconds in the cloud: waiting, decoding and the suffix."""
        return self.queue_s + self.decode_s + self.suffix_s

    @property
    def device_s(self) -> float:
        """Seconds on the device: making tensors, the prefix, encoding."""
        return self.read_s + self.prefix_s + self.encode_s

    @property
    def total_s(self) -> float:
        """The sum of the parts."""
        return self.device_s + self.link_s + self.cloud_s

    @property
    def best_known_s(self) -> float:
        """The measured total if trial frames were sent, else the estimated one."""
        return self.total_s if self.measured_s is None else self.measured_s


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds per stage on the device and in the cloud, and the cloud's present queue."""

    device_s: tuple[float, ...]
    cloud_s: tuple[float, ...]
    queue_s: float = 0.0


def estimate(candidate: Candidate, speeds: Speeds, link: Link | None) -> Estimate:
    """The parts of one candidate's time. Without a link only candidates that send nothing can be estimated."""
    prefix_s = sum(speeds.device_s[: candidate.k])
    if candidate.codec is None:
        return Estimate(candidate, prefix_s, read_s=candidate.read_s)
    if link is None:
        raise ValueError("a candidate that sends something needs a link")
    return Estimate(
        candidate,
        prefix_s,
        candidate.encode_s,
        link.transfer_s(candidate.size_bytes + candidate.reply_bytes),
        speeds.queue_s,
        candidate.decode_s,
        sum(speeds.cloud_s[candidate.k :]),
        read_s=candidate.read_s,
    )


def trials(
    estimates: Sequence[Estimate],
    stages: int,
    most: int = 2,
    order: Callable[[Estimate], Any] = attrgetter("total_s"),
) -> list[Estimate]:
    """The candidates to try: the best ``most``, plus the best real split if it is not among them."""
    ranked = sorted(estimates, key=order)
    chosen = ranked[:most]
    split = next((e for e in ranked if 0 < e.candidate.k < stages and e.candidate.codec is not None), None)
    return chosen if split is None or split in chosen else [*chosen, split]


def with_measured(estimates: Sequence[Estimate], measured: Mapping[Candidate, Estimate]) -> list[Estimate]:
    """The estimates with the measurements of trial frames."""
    found = ((e, measured.get(e.candidate)) for e in estimates)
    return [e if m is None else replace(e, measured_s=m.measured_s, measured=m) for e, m in found]
