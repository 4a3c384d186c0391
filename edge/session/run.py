"""One run of edge-run, from its options to the pipeline that answers frames: open, decide, wire. Prints to a Report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from partway.edge.decision.constraints import admitted_candidates, may_send, with_twin_agreement
from partway.edge.decision.decision import Decision, make_decision, restrict
from partway.edge.decision.ranking import Ranking
from partway.edge.decision.trial import decide, frame_link, measure_candidates, try_candidate
from partway.edge.decision.trial_frames import TrialFrames
from partway.edge.discovery.zeroconf import Search
from partway.edge.options import Options
from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.report.terminal import Report
from partway.edge.session.start.failover import fail_over
from partway.edge.session.start.startup import Opened, Startup
from partway.edge.session.wiring import Pipeline, known_clouds, pipeline, trial_runner
from partway.edge.transport.link_probe import probe_link
from partway.engines.interface import Engine
from partway.errors import LinkLost
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate, Link, Speeds
from partway.partitioner.decide.objectives import objective_for
from partway.partitioner.plan.chain import choose_engine
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import stage_seconds
from partway.partitioner.profile.measure import StageTimes, measure


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that is ready for frames: what it opened, what it chose, and the pipeline that answers."""

    opened: Opened
    decision: Decision
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Measured:
    """The basis of the first choice. ``link`` is None without a cloud; ``link_requested``: options set it."""

    speeds: Speeds
    link: Link | None
    link_requested: bool


class Run:
    """Owns everything that a run opens. ``with Run(options, report) as run: ready = run.open()``.

    It changes nothing that belongs to the whole process: no signals, no logging, no environment. ``wrap_engine`` may
    wrap the device's engine, for example to make it slower.
    """

    def __init__(
        self,
        options: Options,
        report: Report,
        search: Search | None = None,
        wrap_engine: Callable[[Engine, Plan], Engine] = lambda engine, _: engine,
    ) -> None:
        self.options, self.report = options, report
        self._search, self._wrap_engine = search, wrap_engine
        self._stack = ExitStack()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close everything that was opened, in reverse order."""
        self._stack.close()

    def open(self) -> Ready:
        """Open the model and a cloud, decide, and build the pipeline. Raises InputError, PartwayError."""
        options = self.options
        opened = Startup(options, self.report, self._stack, self._engine, self._search).open()
        encoder = Encoder(opened.chain.plan, None if options.deadline_s is None else options.deadline_s * 1e3)
        clouds = known_clouds(opened, options)
        if clouds is not None:
            self._stack.callback(clouds.close)
        trial = trial_runner(opened, encoder, clouds)
        self._stack.callback(trial.close)
        decision = self._decide(opened, encoder, trial)
        return Ready(opened, decision, pipeline(encoder, trial, clouds, decision, options, self._stack))

    def _engine(self, plan: Plan) -> Engine:
        """The device's engine for this plan."""
        return self._wrap_engine(choose_engine(plan, self.options.engine, self.options.threads), plan)

    def _decide(self, opened: Opened, encoder: Encoder, runner: Runner) -> Decision:
        """The first choice. If a cloud is lost while it is measured, the next one replaces it, or the device."""
        options, chain, sample = self.options, opened.chain, opened.sample
        times = measure(chain, sample.tensors(encoder.preprocess))
        codecs = None if options.codec == "auto" else [options.codec]
        candidates = measure_candidates(chain, encoder, sample, codecs)
        candidates = with_twin_agreement(candidates, chain.plan, opened.engine.name)
        not_loaded = (math.inf,) * (len(chain.plan.stages) - len(times.stage_s))
        measured = Measured(Speeds((*times.stage_s, *not_loaded), ()), None, False)
        decision: Decision | None = None
        while decision is None:
            try:
                frames = TrialFrames(runner, sample)
                measured = self._measure(opened, times, frames, measured.speeds)
                decision = self._choose(opened, candidates, measured, frames)
            except LinkLost as error:
                opened = fail_over(opened, runner, options.constraints, error)
                if opened.reached is None:
                    self._print_header(opened, times, None, None)
                    decision = self._decide_on_device(opened, candidates, measured, error)
        self.report.candidates(decision, chain.plan)
        return decision

    def _measure(self, opened: Opened, times: StageTimes, frames: TrialFrames, speeds: Speeds) -> Measured:
        """Measure both halves and the link between them. Raises LinkLost if the cloud is lost meanwhile."""
        reached, stages = opened.reached, len(opened.chain.plan.stages)
        cloud_s = stage_seconds(reached.described.profile, stages) if reached else ()
        measured = self._measure_link(opened, frames)
        link, requested = self._link_to_use(measured)
        self._print_header(opened, times, measured, link if requested else None)
        return Measured(replace(speeds, cloud_s=cloud_s), link, requested)

    def _choose(
        self, opened: Opened, candidates: Sequence[Candidate], measured: Measured, frames: TrialFrames
    ) -> Decision:
        """The choice, by trial frames unless options set the link. Raises LinkLost if the cloud is lost."""
        plan, link = opened.chain.plan, measured.link
        trial = None if opened.reached is None or measured.link_requested else partial(try_candidate, frames)
        ranking = self._ranking(plan, link)
        admitted = admitted_candidates(candidates, plan, self._constraints(), link)
        estimates = decide(admitted, measured.speeds, link, trial, ranking)
        allowed = estimates if opened.reached is None else restrict(estimates, self.options.split, plan)
        return make_decision(estimates, allowed, plan, link, not measured.link_requested, ranking)

    def _decide_on_device(
        self, opened: Opened, candidates: Sequence[Candidate], measured: Measured, error: LinkLost
    ) -> Decision:
        """All on the device. If the link was measured before the loss, a cloud may be used later."""
        plan, link = opened.chain.plan, measured.link
        ranking = self._ranking(plan, link)
        admitted = admitted_candidates(candidates, plan, self._constraints(), link)
        estimates = decide(admitted, measured.speeds, link, None, ranking)
        here = [estimate for estimate in estimates if estimate.candidate.codec is None]
        decision = make_decision(estimates, here, plan, None, link is not None and not measured.link_requested, ranking)
        return replace(decision, reason=f"all on the device: {error}")

    def _ranking(self, plan: Plan, link: Link | None) -> Ranking:
        return Ranking(objective_for(plan, self.options.objective), link.rtt_s if link else 0.0)

    def _constraints(self) -> Constraints:
        """A codec that the user names may lose any agreement; other codecs keep ``max_drop``."""
        constraints = self.options.constraints
        return constraints if self.options.codec == "auto" else replace(constraints, max_drop=100.0)

    def _measure_link(self, opened: Opened, frames: TrialFrames) -> Link | None:
        """Measure the link with probes, and with frames that carry the model's outputs if those may be sent."""
        if opened.reached is None:
            return None
        plan = opened.chain.plan
        stages, link = len(plan.stages), probe_link(opened.reached.client.probe)
        if not may_send(plan, self.options.constraints, stages):
            return link
        return frame_link(frames, link, stages)

    def _link_to_use(self, measured: Link | None) -> tuple[Link | None, bool]:
        """The link to decide by, and whether options set it instead of measurement."""
        requested = (self.options.bandwidth_bps, self.options.rtt_s)
        if measured is None or requested == (None, None):
            return measured, False
        bandwidth_bps, rtt_s = requested
        return Link(bandwidth_bps or measured.bandwidth_bps, measured.rtt_s if rtt_s is None else rtt_s), True

    def _print_header(self, opened: Opened, times: StageTimes, measured: Link | None, requested: Link | None) -> None:
        plan, here = opened.chain.plan, len(opened.chain.stages)
        device = f"{sum(times.stage_s) * 1e3:.2f} ms on this device"
        loaded = "" if opened.chain.complete else f", which holds the first {here}"
        engine = opened.engine
        link = "none" if measured is None else f"{measured} (measured)"
        if requested is not None:
            link = f"{requested} (asked for; measured: {measured})"
        rows = [
            ("model", f"{plan.model}, {len(plan.stages)} stages, {device}{loaded}"),
            *([("weights", plan.weights)] if plan.weights else []),
            ("engine", f"{engine.name} {engine.version}, {engine.threads} threads"),
            ("cloud", opened.reached.where if opened.reached else "none: everything on the device"),
            ("link", link),
            *(("guess", sentence) for sentence in plan.guesses),
            *((name, text) for name, _, text in (note.partition(": ") for note in self.options.notes)),
        ]
        self.report.header(rows)
