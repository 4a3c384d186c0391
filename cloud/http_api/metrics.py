"""The cloud's counters in Prometheus' text format. They are collected only on request, so frames pay no cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import partway

if TYPE_CHECKING:
    from partway.cloud.server import CloudServer

FRAME = ("model", "cut", "codec")


class CloudCollector(Collector):  # type: ignore[misc]
    """Collects all metrics of a server."""

    def __init__(self, server: CloudServer) -> None:
        self._server = server

    def collect(self) -> Iterator[Any]:
        """All metric families with their current values."""
        yield from self._state()
        yield from self._frames()
        yield from self._audits()
        yield from self._batches()

    def _state(self) -> Iterator[Any]:
        inference = self._server.inference
        info = GaugeMetricFamily("partway_info", "This server; always 1.", labels=("version",))
        info.add_metric((partway.__version__,), 1)
        models = GaugeMetricFamily(
            "partway_model_info", "A model served; always 1.", labels=("model", "engine", "plan")
        )
        for name, model in self._server.models.items():
            models.add_metric((name, model.plan.engine, model.digest), 1)
        yield info
        yield models
        yield GaugeMetricFamily(
            "partway_ready", "1 while frames are accepted, 0 while it drains.", float(inference.ready)
        )
        queue = "Expected seconds that a frame arriving now would wait for the frames before it."
        yield GaugeMetricFamily("partway_queue_seconds", queue, inference.queue_s)

    def _frames(self) -> Iterator[Any]:
        counters = self._server.inference.counters
        frames = CounterMetricFamily("partway_frames", "Frames answered.", labels=FRAME)
        parts = {
            "queue_s": CounterMetricFamily("partway_frame_queue_seconds", "Waited for others, summed.", labels=FRAME),
            "decode_s": CounterMetricFamily("partway_frame_decode_seconds", "Decoding, summed.", labels=FRAME),
            "suffix_s": CounterMetricFamily("partway_frame_suffix_seconds", "Running stages, summed.", labels=FRAME),
        }
        for which, served in counters.served():
            frames.add_metric(_labels(which), served.frames)
            for part, family in parts.items():
                family.add_metric(_labels(which), getattr(served, part))
        refused = CounterMetricFamily("partway_refused", "Frames refused.", labels=("model", "status"))
        for labels, count in counters.refusals():
            refused.add_metric(labels, count)
        yield frames
        yield from parts.values()
        yield refused

    def _audits(self) -> Iterator[Any]:
        frames = CounterMetricFamily("partway_audit_frames", "Coded frames compared with exact ones.", labels=FRAME)
        agreed = CounterMetricFamily(
            "partway_audit_agreed", "Of them, the agreement by the model's task, summed.", labels=FRAME
        )
        error = "Relative error of the outputs, summed over audits."
        errors = CounterMetricFamily("partway_audit_relative_error", error, labels=FRAME)
        audits = CounterMetricFamily("partway_audits", "Audits, each of one frame or a batch.", labels=FRAME)
        for which, count in self._server.auditor.counts().items():
            for family, value in (
                (frames, count.frames),
                (agreed, count.agreed),
                (errors, count.relative_error),
                (audits, count.audits),
            ):
                family.add_metric(_labels(which), value)
        yield from (frames, agreed, errors, audits)

    def _batches(self) -> Iterator[Any]:
        stats, stage = self._server.batcher.stats, ("model", "stage")
        waiting = GaugeMetricFamily("partway_queue_frames", "Frames that wait to run.", stats.queued)
        waiting_bytes = GaugeMetricFamily("partway_queue_bytes", "Bytes of the waiting frames.", stats.queued_bytes)
        batches = CounterMetricFamily("partway_batches", "Batches run, by the stage they began at.", labels=stage)
        rows = CounterMetricFamily("partway_batch_samples", "Samples in the batches.", labels=stage)
        merged = CounterMetricFamily(
            "partway_batches_merged", "Batches of frames that entered at different cuts.", labels=stage
        )
        for family, counts in ((batches, stats.batches), (rows, stats.rows), (merged, stats.merged)):
            for (model, first), count in list(counts.items()):
                family.add_metric((model, str(first)), count)
        yield from (waiting, waiting_bytes, batches, rows, merged)
        ends = {
            "inline": "Frames run at once, without a queue.",
            "cancelled": "Frames that the device gave up before they ran.",
        }
        for name, text in ends.items():
            yield CounterMetricFamily(f"partway_frames_{name}", text, getattr(stats, name))
        yield CounterMetricFamily("partway_batches_halved", "Batches that did not fit into memory.", stats.halved)


def registry(server: CloudServer) -> CollectorRegistry:
    """A registry with the metrics of the server and of the process."""
    metrics = CollectorRegistry()
    metrics.register(CloudCollector(server))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics)
    return metrics


def _labels(which: tuple[str, int, str]) -> tuple[str, str, str]:
    model, k, codec = which
    return model, str(k), codec
