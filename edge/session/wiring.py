"""Joins the objects of a run; each object is complete when it is made.

Clouds and trial frames come first and lead to the decision. The pipeline then answers frames on the same stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import SplitController
from partway.edge.discovery.neighbours import Neighbours
from partway.edge.options import MOST_WINDOW, Options
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.result import FrameResult
from partway.edge.pipeline.runner import Runner
from partway.edge.session.start.startup import Opened
from partway.edge.sources.frame_queue import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from partway.edge.decision.audit import Auditor, Tally
    from partway.edge.sources.files import Sample
    from partway.edge.transport.failover import KnownClouds
    from partway.partitioner.decide.estimate import Candidate


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers frames once the choice is made. ``audits``: what audits of lossy codecs have found so far."""

    runner: Runner
    controller: SplitController
    audits: Mapping[Candidate, Tally]

    def answers(self, samples: Iterable[Sample] | Arrivals, first_id: int = 0) -> Iterator[FrameResult]:
        """Yield the answers to all samples; the controller chooses a candidate before each frame."""
        return self.runner.run(samples, self.controller, first_id)


def known_clouds(opened: Opened, options: Options) -> KnownClouds | None:
    """The clouds that the user named, or those that zeroconf finds, now and later; None without a cloud."""
    reached, plan = opened.reached, opened.chain.plan
    if reached is None:
        return None
    from partway.edge.transport.failover import KnownClouds

    named = options.cloud.split(",") if ":" in options.cloud else []
    found = None if opened.search is None else Neighbours(opened.search, plan, options.access)
    return KnownClouds(reached.client, named, plan, found, opened.embedded)


def trial_runner(opened: Opened, encoder: Encoder, clouds: KnownClouds | None) -> Runner:
    """The runner of trial frames: one at a time, over the stream that the pipeline then uses."""
    return Runner(opened.chain, encoder, clouds=clouds, window=1)


def pipeline(
    encoder: Encoder,
    trial: Runner,
    clouds: KnownClouds | None,
    decision: Decision,
    options: Options,
    stack: ExitStack,
) -> Pipeline:
    """Build the pipeline that answers frames, on the stream of the ``trial`` runner; ``stack`` closes it again.

    With ``--split auto`` the controller chooses among the admitted candidates before each frame. A given split or a
    given link (``--bandwidth``, ``--rtt``) fixes the choice.
    """
    free = options.split == "auto" and decision.link_measured
    chosen = decision.chosen.candidate
    auditor = _auditor(options, encoder, clouds)
    if auditor is not None:
        stack.callback(auditor.close)
    controller = SplitController(
        decision.estimates,
        chosen,
        decision.ranking.objective,
        encoder.plan,
        None if clouds is None else decision.link,
        free,
        adapts_window=options.window is None,
        waiting=lambda: trial.waiting,
        probes=tuple if clouds is None else clouds.probes,
        withdrawals=tuple if auditor is None else auditor.withdrawals,
    )
    if clouds is not None and (chosen.codec is not None or free):
        clouds.watch(controller, decision.link)
    runner = Runner(
        trial.chain,
        encoder,
        window=options.window or MOST_WINDOW,
        batch=options.batch,
        in_order=options.in_order,
        watch=controller,
        deadline_s=options.deadline_s,
        audit=None if auditor is None else auditor.offer,
        after=trial,
    )
    stack.callback(runner.close)
    return Pipeline(runner, controller, {} if auditor is None else auditor.tallies)


def _auditor(options: Options, encoder: Encoder, clouds: KnownClouds | None) -> Auditor | None:
    """The auditor of lossy codecs, if ``--audit`` is set and there is a cloud. It starts a thread."""
    if not options.audit or clouds is None:
        return None
    from partway.edge.decision.audit import Auditor

    calibrated = {
        (entry.get("k"), entry.get("codec")): entry.get("relative_error") for entry in encoder.plan.candidates
    }
    return Auditor(
        encoder,
        options.audit,
        1 - options.constraints.max_drop / 100,
        lambda: clouds.address,
        lambda candidate: calibrated.get((candidate.k, candidate.codec)),
        options.codec == "auto",
        lambda: clouds.access,
    )
