"""One run of edge-run from its options to its results: open, decide, answer. Prints through a Report."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain as joined
from time import perf_counter

from partway.edge.decision import trial as auto
from partway.edge.decision.constraints import left, may_send, on_twins
from partway.edge.decision.decision import Decision, restrict, settle
from partway.edge.decision.ranking import Ranking
from partway.edge.decision.split_controller import Recut
from partway.edge.decision.trial_frames import TrialFrames
from partway.edge.discovery.zeroconf import Search
from partway.edge.options import MOST_WINDOW, Options
from partway.edge.pipeline.encoder import Packer
from partway.edge.pipeline.runner import Runner
from partway.edge.report.run_json import Outcome
from partway.edge.report.statistics import Results
from partway.edge.report.terminal import Report
from partway.edge.session.health import Pulse
from partway.edge.session.sigterm import Ending
from partway.edge.session.start_failover import elsewhere
from partway.edge.session.startup import Opened, Opening
from partway.edge.session.wiring import auditor_of, clouds_of, recut_of
from partway.edge.sources.files import Item, Sample
from partway.edge.sources.frame_queue import Feed
from partway.edge.sources.work import Work
from partway.engines.interface import Engine
from partway.errors import InputError, LinkLost
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.estimate import Candidate, Link, Speeds
from partway.partitioner.plan.chain import choose_engine
from partway.partitioner.plan.plan import Plan
from partway.partitioner.profile.file import stage_seconds
from partway.partitioner.profile.measure import StageTimes, measure

SLOW_READ_S = 1e-3
"""Where reading a frame takes longer, a thread reads ahead: answers are timed when they come, not a read later."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the first choice is made by. ``link`` is None without a cloud; ``asked``: it was asked for, not measured."""

    speeds: Speeds
    link: Link | None
    asked: bool


class Run:
    """Holds what has to be closed again. ``with Run(options, report) as run: outcome = run.go()``.

    Without ``frames`` the outcome counts and times them, and keeps none.
    """

    def __init__(self, options: Options, report: Report, search: Search | None = None, frames: bool = True) -> None:
        self.options, self.report, self._keeps = options, report, frames
        self._search = search
        self._recut: Recut
        self._stack = ExitStack()
        self._ending, self._pulse = self._stack.enter_context(Ending()), Pulse()
        self._stack.callback(self._pulse.close)
        self._pulse.tell()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def go(self, outcome_ready: list[Outcome]) -> None:
        """Everything, in order. The outcome is put into ``outcome_ready`` first, so that an interrupt can report it."""
        options = self.options
        opened = Opening(options, self.report, self._stack, self.engine, self._search).open()
        plan = opened.chain.plan
        outcome = Outcome(plan, opened.engine.name, results=Results(self._keeps), notes=options.notes)
        outcome_ready.append(outcome)
        packer = Packer(plan, None if options.deadline_s is None else options.deadline_s * 1e3)
        clouds = clouds_of(opened, options)
        if clouds is not None:
            self._stack.callback(clouds.close)
        runner = Runner(
            opened.chain,
            packer,
            window=options.window or MOST_WINDOW,
            batch=options.batch,
            clouds=clouds,
            in_order=options.in_order,
        )
        self._stack.callback(runner.close)
        outcome.decision = self._decide(opened, packer, runner)
        self._recut = recut_of(outcome.decision, plan, options, clouds, lambda: runner.waiting)
        outcome.changes = self._recut.changes
        runner.watch, runner.deadline_s = self._recut, options.deadline_s
        if (auditor := auditor_of(options, packer, clouds)) is not None:
            self._stack.callback(auditor.close)
            runner.audit, self._recut.withdrawals = auditor.offer, auditor.withdrawals
            outcome.audits = auditor.tallies
        self._frames(outcome, runner, opened.work)

    def engine(self, plan: Plan) -> Engine:
        """The device's engine for this plan."""
        return choose_engine(plan, self.options.engine, self.options.threads)

    def _decide(self, opened: Opened, packer: Packer, runner: Runner) -> Decision:
        """The first choice. A cloud that is lost while it is measured is left for the next one, or for the device."""
        options, chain, sample = self.options, opened.chain, opened.sample
        times = measure(chain, sample.tensors(packer.preprocess))
        codecs = None if options.codec == "auto" else [options.codec]
        candidates = auto.measure_candidates(chain, packer, sample, codecs)
        candidates = on_twins(candidates, chain.plan, opened.engine.name)
        unheld = (math.inf,) * (len(chain.plan.stages) - len(times.stage_s))
        measured = Measured(Speeds((*times.stage_s, *unheld), ()), None, False)
        decision: Decision | None = None
        while decision is None:
            try:
                frames = TrialFrames(runner, sample)
                measured = self._measured(opened, times, frames, measured.speeds)
                decision = self._decided(opened, candidates, measured, frames)
            except LinkLost as error:
                opened = elsewhere(opened, runner, options.constraints, error)
                if opened.reached is None:
                    self._say_header(opened, times, None, None)
                    decision = self._alone(opened, candidates, measured, error)
        self.report.candidates(decision, chain.plan)
        return decision

    def _measured(self, opened: Opened, times: StageTimes, frames: TrialFrames, speeds: Speeds) -> Measured:
        """Both halves and the link between them. Raises LinkLost when the cloud is lost meanwhile."""
        reached, stages = opened.reached, len(opened.chain.plan.stages)
        cloud_s = stage_seconds(reached.described.profile, stages) if reached else ()
        measured = self._measured_link(opened, frames)
        link, asked = self._link(measured)
        self._say_header(opened, times, measured, link if asked else None)
        return Measured(replace(speeds, cloud_s=cloud_s), link, asked)

    def _decided(
        self, opened: Opened, candidates: Sequence[Candidate], measured: Measured, frames: TrialFrames
    ) -> Decision:
        """The choice, by trial frames where the link was not asked for. Raises LinkLost when the cloud is lost."""
        plan, link = opened.chain.plan, measured.link
        trial = None if opened.reached is None or measured.asked else partial(auto.try_candidate, frames)
        ranking = Ranking(self.options.objective, link.rtt_s if link else 0.0)
        admitted = left(candidates, plan, self._constraints(), link)
        estimates = auto.decide(admitted, measured.speeds, link, trial, ranking)
        allowed = estimates if opened.reached is None else restrict(estimates, self.options.split, plan)
        return settle(estimates, allowed, plan, link, not measured.asked, ranking)

    def _alone(self, opened: Opened, candidates: Sequence[Candidate], measured: Measured, lost: LinkLost) -> Decision:
        """All on the device. Where the link was measured before the loss, a cloud may be used once there is one."""
        plan, link = opened.chain.plan, measured.link
        ranking = Ranking(self.options.objective, link.rtt_s if link else 0.0)
        admitted = left(candidates, plan, self._constraints(), link)
        estimates = auto.decide(admitted, measured.speeds, link, None, ranking)
        here = [estimate for estimate in estimates if estimate.candidate.codec is None]
        decision = settle(estimates, here, plan, None, link is not None and not measured.asked, ranking)
        return replace(decision, reason=f"all on the device: {lost}")

    def _constraints(self) -> Constraints:
        """A codec that was asked for may cost any agreement."""
        constraints = self.options.constraints
        return constraints if self.options.codec == "auto" else replace(constraints, max_drop=100.0)

    def _measured_link(self, opened: Opened, frames: TrialFrames) -> Link | None:
        """By probes, and by frames that carry the model's outputs where those may be made here and sent."""
        if opened.reached is None:
            return None
        plan = opened.chain.plan
        stages, link = len(plan.stages), auto.probe_link(opened.reached.client.probe)
        if not may_send(plan, self.options.constraints, stages):
            return link
        return auto.frame_link(frames, link, stages)

    def _link(self, measured: Link | None) -> tuple[Link | None, bool]:
        """The link to decide by, and whether it was asked for rather than measured."""
        asked = (self.options.bandwidth_bps, self.options.rtt_s)
        if measured is None or asked == (None, None):
            return measured, False
        bandwidth_bps, rtt_s = asked
        return Link(bandwidth_bps or measured.bandwidth_bps, measured.rtt_s if rtt_s is None else rtt_s), True

    def _say_header(self, opened: Opened, times: StageTimes, measured: Link | None, asked: Link | None) -> None:
        plan, here = opened.chain.plan, len(opened.chain.stages)
        device = f"{sum(times.stage_s) * 1e3:.2f} ms on this device"
        held = "" if opened.chain.whole else f", which holds the first {here}"
        engine = opened.engine
        link = "none" if measured is None else f"{measured} (measured)"
        if asked is not None:
            link = f"{asked} (asked for; measured: {measured})"
        rows = [
            ("model", f"{plan.model}, {len(plan.stages)} stages, {device}{held}"),
            *([("weights", plan.weights)] if plan.weights else []),
            ("engine", f"{engine.name} {engine.version}, {engine.threads} threads"),
            ("cloud", opened.reached.where if opened.reached else "none: everything on the device"),
            ("link", link),
            *((name, text) for name, _, text in (note.partition(": ") for note in self.options.notes)),
        ]
        self.report.header(rows)

    def _frames(self, outcome: Outcome, runner: Runner, work: Work) -> None:
        gc.collect()
        gc.freeze()  # what is there stays: looking through it again would hold frames up for milliseconds
        begun_s = perf_counter()
        samples = self._samples(joined([work.first], work.rest), outcome)
        apart = work.waits or work.read_s > SLOW_READ_S or self.options.when_behind != "block"
        with Feed(samples, self.options.when_behind) if apart else nullcontext(samples) as source:
            self._ending.on_end(source.end if isinstance(source, Feed) else lambda: None)
            try:
                with self.report.frames(work.total) as lines:
                    for result in runner.run(source, self._recut):
                        outcome.results.add(result)
                        lines.add(result)
                        self._pulse.answered()
            except KeyboardInterrupt:
                outcome.interrupted = True
            outcome.dropped = source.dropped if isinstance(source, Feed) else 0
        outcome.wall_s = perf_counter() - begun_s

    def _samples(self, items: Iterator[Item], outcome: Outcome) -> Iterator[Sample]:
        """Every item that can be read; the others are reported and do not cost the rest their answers."""
        for item in items:
            if self._ending.asked:
                return
            try:
                sample = item.read()
            except InputError as error:
                if str(error) not in outcome.unreadable:  # --frames may come round to it again
                    outcome.unreadable.append(str(error))
            else:
                self._pulse.took()
                yield sample
