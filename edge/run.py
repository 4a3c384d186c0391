"""One run of edge-run from its options to its results: model, cloud, decision, frames. Prints through a Report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain as joined
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

from partway.edge import auto
from partway.edge.cache import StageCache, open_cache
from partway.edge.discovery import Search
from partway.edge.embedded import EmbeddedCloud
from partway.edge.frames import FrameResult
from partway.edge.model_file import is_model_file, sliced_folder
from partway.edge.packing import Packer
from partway.edge.report import Report, summarize
from partway.edge.runner import Runner
from partway.edge.sources import Item, Sample, open_source, random_source
from partway.edge.transport import CloudClient, Description
from partway.engines.engine import Engine
from partway.partitioner.chain import Chain, choose_engine, load_chain
from partway.partitioner.estimate import Estimate, Link, Speeds
from partway.partitioner.plan import Plan, load_plan, read_stage
from partway.partitioner.profile import StageTimes, measure, stage_seconds
from partway.partitioner.zoo import bundled_models, model_folder, sample_folder, unknown_model
from partway.proto.errors import InputError, Refused

log = logging.getLogger("partway.edge")

RANDOM_FRAMES = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What edge-run was asked for. ``cloud``: auto, embedded, none or HOST:PORT."""

    model: str
    split: str = "auto"
    cloud: str = "auto"
    inputs: tuple[str, ...] = ()
    frames: int | None = None
    codec: str = "auto"
    max_drop: float = 1.0
    bandwidth_bps: float | None = None
    rtt_s: float | None = None
    deadline_s: float | None = None
    window: int = 4
    batch: int = 1
    threads: int = 0
    engine: str = "auto"
    cache: Path | None = None
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Reached:
    """A cloud, what it says of the model, and where it is in words."""

    client: CloudClient
    described: Description
    where: str


@dataclass(frozen=True, slots=True)
class _Work:
    """The frames to answer: the first one, the rest, and how many they are."""

    first: Item
    rest: Iterator[Item]
    total: int


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    engine: str
    decision: auto.Decision | None = None
    results: list[FrameResult] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The one object that ``--json`` writes."""
        link = self.decision.link if self.decision else None
        measured = self.decision.link_measured if self.decision else False
        shown = (
            None if link is None else {"bandwidth_bps": link.bandwidth_bps, "rtt_s": link.rtt_s, "measured": measured}
        )
        return {
            "model": self.plan.model,
            "plan": _plan_json(self.plan, self.engine, self.decision),
            "link": shown,
            "frames": [result.to_json() for result in self.results],
            "summary": {**summarize(self.results, self.wall_s), "unreadable": self.unreadable},
        }


def _plan_json(plan: Plan, engine: str, decision: auto.Decision | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "digest": plan.digest,
        "engine": engine,
        "stages": len(plan.stages),
        "cuts": [list(cut.values) for cut in plan.cuts],
    }
    if decision is not None:
        made["candidates"] = [_estimate_json(e) for e in decision.estimates]
        made["chosen"] = _estimate_json(decision.chosen)
        made["reason"] = decision.reason
    return made


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    parts = ("prefix_s", "encode_s", "link_s", "queue_s", "decode_s", "suffix_s", "total_s", "measured_s")
    candidate = estimate.candidate
    return {"cut": candidate.k, "codec": candidate.codec, "bytes": candidate.size_bytes} | {
        part: getattr(estimate, part) for part in parts
    }


class Run:
    """Holds what has to be closed again. ``with Run(options, report) as run: outcome = run.go()``."""

    def __init__(self, options: Options, report: Report, search: Search | None = None) -> None:
        self.options, self.report = options, report
        self._search = search
        self._stack = ExitStack()
        self._embedded: EmbeddedCloud | None = None
        self._engine: Engine | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def go(self, outcome_ready: list[Outcome]) -> None:
        """Everything, in order. The outcome is put into ``outcome_ready`` first, so that an interrupt can report it."""
        options = self.options
        cache = open_cache(options.cache) if options.cache is not None else None
        folder = self._find_model()
        reached = self._reach(None) if folder is None else None
        plan = load_plan(folder) if folder is not None else _plan_of(reached, options.model)
        k = self._split(plan)
        work = self._work(plan, folder)
        sample, work = _read_ahead(work, plan)  # here, while a cloud starts: it also imports what reading takes
        chain = self._load(plan, folder, reached, cache)
        if folder is not None and self._needs_cloud(k, plan):
            reached = self._reach(plan)
        outcome = Outcome(plan, self._engine.name if self._engine else plan.engine)
        outcome_ready.append(outcome)
        packer = Packer(plan, None if options.deadline_s is None else options.deadline_s * 1e3)
        runner = Runner(chain, packer, reached.client.open_stream if reached else None, options.window, options.batch)
        self._stack.callback(runner.close)
        outcome.decision = self._decide(chain, packer, runner, sample, reached)
        self._frames(outcome, runner, work)

    def _split(self, plan: Plan) -> int | None:
        """The split asked for, None for auto. Raises InputError for what this plan cannot do."""
        if self.options.batch > 1 and not plan.batches:
            raise InputError(f"model {plan.model} takes one frame at a time; leave out --batch")
        return None if self.options.split == "auto" else auto.split_number(self.options.split, plan)

    def _find_model(self) -> Path | None:
        """The model's folder, None when only a cloud can know it; what may be needed of clouds is begun."""
        options = self.options
        try:
            if is_model_file(options.model):
                folder = sliced_folder(Path(options.model), open_cache(options.cache).folder)
            else:
                folder = model_folder(options.model)
        except InputError:
            if ":" not in options.cloud:
                raise
            return None
        local = options.split == "device" or options.cloud == "none"
        if options.cloud in ("auto", "embedded") and not local:
            self._embedded = self._stack.enter_context(EmbeddedCloud(folder, options.threads))
        if options.cloud == "auto" and not local and self._search is None:
            self._search = self._stack.enter_context(Search())
        return folder

    def _needs_cloud(self, k: int | None, plan: Plan) -> bool:
        if self.options.cloud == "none":
            if k is not None and k != len(plan.stages):
                raise InputError(
                    f"split {self.options.split} needs a cloud; leave out --cloud none or use --split device"
                )
            return False
        return k is None or k != len(plan.stages)

    def _reach(self, plan: Plan | None) -> _Reached:
        """A cloud that serves this very plan."""
        found = self._search.result(plan.model, plan.digest) if self._search and plan else None
        if found is not None:
            try:
                reached = self._reached(found.address, plan, "found by zeroconf")
            except InputError as error:  # it left without a goodbye, or a firewall is between
                if self._embedded is None:
                    raise
                log.warning("%s; using one on this machine", error)
            else:
                if self._embedded is not None:
                    self._embedded.close()
                return reached
        if self._embedded is not None:
            how = f"embedded: started on this machine, process {self._embedded.pid}; ends with this run"
            return self._reached(self._embedded.address(), plan, how)
        return self._reached(self.options.cloud, plan)

    def _reached(self, address: str, plan: Plan | None, how: str = "") -> _Reached:
        client = self._connect(address)
        return _Reached(client, self._describe(client, plan), f"{client.address} ({how})" if how else client.address)

    def _connect(self, address: str) -> CloudClient:
        return self._stack.enter_context(CloudClient(address, self.options.timeout_s))

    def _describe(self, client: CloudClient, plan: Plan | None) -> Description:
        name = self.options.model if plan is None else plan.model
        try:
            described = client.describe(name)
        except Refused as error:
            raise InputError(str(error)) from error
        if plan is not None and described.digest != plan.digest:
            raise InputError(
                f"the cloud at {client.address} has another version of {name} (plan {described.digest[:12]}, here"
                f" {plan.digest[:12]}); install the same model on both, or give another --cloud"
            )
        return described

    def _load(self, plan: Plan, folder: Path | None, reached: _Reached | None, cache: StageCache | None) -> Chain:
        engine = self._engine = choose_engine(plan, self.options.engine, self.options.threads)
        if folder is not None:
            return load_chain(plan, engine, lambda stage: read_stage(folder, stage))
        assert reached is not None
        kept, fetch = cache or open_cache(None), reached.client.fetch
        return load_chain(plan, engine, lambda stage: kept.read(stage, fetch))

    def _work(self, plan: Plan, folder: Path | None) -> _Work:
        """The frames asked for: the input given, else the samples that come with the model, else random ones."""
        samples = (sample_folder(folder) if folder else None) or _bundled_samples(plan)
        inputs = self.options.inputs or ([str(samples)] if samples else [])
        if not inputs:
            self.report.say("no --input given: random input")
            total = self.options.frames or RANDOM_FRAMES
            return _work(random_source(plan, total), total)
        items = open_source(inputs, plan)
        total = self.options.frames or len(items)
        return _work(islice(cycle(items), total), total)

    def _decide(
        self, chain: Chain, packer: Packer, runner: Runner, sample: Sample, reached: _Reached | None
    ) -> auto.Decision:
        options, plan = self.options, chain.plan
        times = measure(chain, sample.tensors(packer.preprocess))
        cloud_s = stage_seconds(reached.described.profile, len(plan.stages)) if reached else ()
        measured = auto.probe_link(reached.client.probe) if reached else None
        if measured is not None:
            measured = auto.frame_link(runner, sample, measured, len(plan.stages))
        link, asked = self._link(measured)
        where = reached.where if reached else "none: everything on the device"
        self._say_header(plan, chain, times, where, measured, link if asked else None)
        codecs = None if options.codec == "auto" else [options.codec]
        candidates = auto.measure_candidates(chain, packer, sample, codecs)
        speeds = Speeds(times.stage_s, cloud_s)
        max_drop = options.max_drop if codecs is None else 100.0
        trial = None if reached is None or asked else auto.trial_of(runner, sample)
        estimates = auto.decide(candidates, speeds, link, max_drop, trial)
        allowed = auto.restrict(estimates, options.split, plan)
        decision = auto.settle(estimates, allowed, plan, link, not asked)
        self.report.candidates(decision, plan)
        return decision

    def _link(self, measured: Link | None) -> tuple[Link | None, bool]:
        """The link to decide by, and whether it was asked for rather than measured."""
        asked = (self.options.bandwidth_bps, self.options.rtt_s)
        if measured is None or asked == (None, None):
            return measured, False
        bandwidth_bps, rtt_s = asked
        return Link(bandwidth_bps or measured.bandwidth_bps, measured.rtt_s if rtt_s is None else rtt_s), True

    def _say_header(
        self, plan: Plan, chain: Chain, times: StageTimes, where: str, measured: Link | None, asked: Link | None
    ) -> None:
        engine = self._engine
        assert engine is not None
        link = "none" if measured is None else f"{measured} (measured)"
        if asked is not None:
            link = f"{asked} (asked for; measured: {measured})"
        rows = [
            ("model", f"{plan.model}, {len(plan.stages)} stages, {sum(times.stage_s) * 1e3:.2f} ms on this device"),
            ("engine", f"{engine.name} {engine.version}, {engine.threads} threads"),
            ("cloud", where),
            ("link", link),
        ]
        self.report.header(rows)

    def _frames(self, outcome: Outcome, runner: Runner, work: _Work) -> None:
        assert outcome.decision is not None
        candidate = outcome.decision.chosen.candidate
        begun_s = perf_counter()
        try:
            with self.report.frames(work.total) as lines:
                for result in runner.run(self._samples(joined([work.first], work.rest), outcome), lambda: candidate):
                    outcome.results.append(result)
                    lines.add(result)
        except KeyboardInterrupt:
            outcome.interrupted = True
        outcome.wall_s = perf_counter() - begun_s

    def _samples(self, items: Iterator[Item], outcome: Outcome) -> Iterator[Sample]:
        """Every item that can be read; the others are reported and do not cost the rest their answers."""
        for item in items:
            try:
                yield item.read()
            except InputError as error:
                if str(error) not in outcome.unreadable:  # --frames may come round to it again
                    outcome.unreadable.append(str(error))


def _work(items: Iterator[Item], total: int) -> _Work:
    first = next(items, None)
    if first is None:
        raise InputError("there is nothing in the input to infer on; give another with --input")
    return _Work(first, items, total)


def _read_ahead(work: _Work, plan: Plan) -> tuple[Sample, _Work]:
    """The first sample, for measuring, and the work with it read; a random one when it cannot be (its turn tells)."""
    try:
        sample = work.first.read()
    except InputError:
        return next(random_source(plan, 1)).read(), work
    return sample, replace(work, first=Item(work.first.name, lambda: sample))


def _plan_of(reached: _Reached | None, model: str) -> Plan:
    assert reached is not None
    described, address = reached.described, reached.client.address
    if described.plan is None:
        raise unknown_model(model, list(described.models))
    if described.plan.digest != described.digest:
        raise InputError(
            f"the plan of {model} from {address} does not match its digest; use the same partway version on both"
        )
    return described.plan


def _bundled_samples(plan: Plan) -> Path | None:
    """The samples of the shipped model that this plan is of."""
    if plan.model not in bundled_models():
        return None
    folder = model_folder(plan.model)
    return sample_folder(folder) if load_plan(folder).digest == plan.digest else None


def tell(outcome: Outcome, report: Report, options: Options) -> None:
    """The closing lines: summary and what to try next."""
    report.summary(outcome.results, summarize(outcome.results, outcome.wall_s))
    if outcome.interrupted:
        report.say("interrupted; the frames above are the ones that were answered")
        return
    report.say(_next_steps(options))


def _next_steps(options: Options) -> str:
    base = f"edge-run --model {options.model}"
    return (
        f"try next:  {base} --split 1    {base} --bandwidth 1Mbps --rtt 40ms\n"
        f"           on a second machine: cloud-serve --host 0.0.0.0   then here: {base} --cloud HOST:8001"
    )
