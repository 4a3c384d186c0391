"""A run that is ready, wired to a fake cloud: no network, no process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from tests.support.affine import STAGES, samples

from partway.edge.decision.decision import Decision
from partway.edge.options import Options
from partway.edge.pipeline.encoder import Encoder
from partway.edge.session.run import Ready
from partway.edge.session.start.startup import Opened
from partway.edge.session.wiring import pipeline, trial_runner
from partway.edge.sources.files import Item
from partway.edge.sources.open_inputs import RunInput
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.fake import FakeCloud
from partway.edge.transport.interface import OnLost, OnReply
from partway.engines.fake import FakeEngine
from partway.errors import LinkLost
from partway.partitioner.decide.estimate import Candidate, Estimate, Link

SPLIT, HOME = Candidate(1, "raw", 100, 50), Candidate(STAGES, None)
LINK = Link(1e8, 1e-3)


class OneFakeCloud:
    """The clouds of a run, of which there is one; obeys what a run needs of KnownClouds. ``streams`` counts."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud, self.streams = cloud, 0
        self.address: str | None = "fake:1"
        self.access: Access = OPEN
        self.watched: list[tuple[Any, Link | None]] = []

    def open(self, on_reply: OnReply, on_lost: OnLost) -> FakeCloud | None:
        if self.address is None or self.streams:
            return None
        self.streams += 1
        return self.cloud.open_stream(on_reply, on_lost)

    def lost(self, error: LinkLost) -> None:
        self.address = None

    def next_cloud(self, error: LinkLost) -> None:
        return None

    def reason_to_leave(self) -> LinkLost | None:
        return None

    def watch(self, use: Any, link: Link | None) -> None:
        self.watched.append((use, link))

    def probes(self) -> Iterator[Any]:
        return iter(())


def decided(chosen: Candidate = SPLIT, measured: bool = True) -> Decision:
    """The choice of this candidate; the device alone is ten times slower."""
    best = Estimate(chosen, prefix_s=0.01) if chosen.codec else Estimate(HOME, prefix_s=0.1)
    others = () if chosen.codec is None else (Estimate(HOME, prefix_s=0.1),)
    return Decision((best, *others), best, "because", LINK, measured)


def wired(
    cloud: FakeCloud, stack: ExitStack, clouds: Any = None, decision: Decision | None = None, **options: Any
) -> Ready:
    """A run on this cloud, ready to answer; ``options`` are those of ``Options``."""
    chain, encoder = cloud.chain, Encoder(cloud.chain.plan)
    item = Item("sample 0", lambda: samples(1)[0])
    opened = Opened(FakeEngine("affine"), chain, samples(1)[0], RunInput(item, iter(()), 1), None)
    trial, made = trial_runner(opened, encoder, clouds), decision or decided()
    stack.callback(trial.close)
    return Ready(opened, made, pipeline(encoder, trial, clouds, made, Options("affine", **options), stack))
