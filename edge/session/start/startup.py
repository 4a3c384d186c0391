"""Everything before the first measurement: the model, the frames, a cloud that serves the same plan, the stages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from partway.edge.decision.constraints import (
    check_constraints,
    may_answer_on_device,
    no_fallback_warning,
    stages_that_fit,
)
from partway.edge.decision.decision import split_number
from partway.edge.discovery.nearest import round_trip_s
from partway.edge.discovery.zeroconf import Search
from partway.edge.options import Options
from partway.edge.report.terminal import Report
from partway.edge.session.start.embedded_cloud import EmbeddedCloud
from partway.edge.session.start.slice_on_the_fly import sliced_folder
from partway.edge.session.start.stage_cache import StageCache, open_cache
from partway.edge.sources.files import Sample
from partway.edge.sources.open_inputs import RunInput, open_run_input, read_ahead
from partway.edge.sources.sequences import first_of_sequence
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.address import parse_address
from partway.engines.interface import Engine
from partway.errors import InputError, LinkLost, PartwayError, Refused
from partway.partitioner.plan.chain import Chain, load_chain, load_folder
from partway.partitioner.plan.model_file.model_format import is_model_file
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder, unknown_model
from partway.partitioner.zoo.cache import is_zoo_model, plan_name, prepare, prepared_folder

if TYPE_CHECKING:
    from partway.edge.transport.client import CloudClient, Description

log = logging.getLogger("partway.edge")


@dataclass(frozen=True, slots=True)
class Reached:
    """A cloud, its description of the model, and its address in words."""

    client: CloudClient
    described: Description
    where: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run works with. ``sample`` is the first frame, for measuring; ``reached`` is None without a cloud.

    ``search`` continues in the background with ``--cloud auto``. ``embedded`` is the address of the embedded cloud.
    """

    engine: Engine
    chain: Chain
    sample: Sample
    run_input: RunInput
    reached: Reached | None
    search: Search | None = None
    embedded: str | None = None


class Startup:
    """Opens what a run needs on ``stack``, which closes it again."""

    def __init__(
        self,
        options: Options,
        report: Report,
        stack: ExitStack,
        engine: Callable[[Plan], Engine],
        search: Search | None = None,
    ) -> None:
        self.options, self.report = options, report
        self._stack, self._engine, self._search = stack, engine, search
        self._embedded: EmbeddedCloud | None = None
        self._embedded_address: str | None = None
        self._announced_address = ""

    def open(self) -> Opened:
        """Open everything, in order. Raises InputError before anything is printed or sent."""
        cache = open_cache(self.options.cache) if self.options.cache is not None else None
        folder = self._find_model()
        reached = self._reach(None) if folder is None else None
        plan = load_plan(folder) if folder is not None else _plan_of(reached, self.options.model)
        k = self._split(plan)
        run_input = open_run_input(
            self.options.inputs, plan, folder, self.options.frames, self.options.source_settings()
        )
        if run_input.random:
            self.report.say("no --input given: random input")
        sample, run_input = read_ahead(run_input, plan)  # while a cloud starts: this also imports the readers
        sample = first_of_sequence(sample, plan)
        engine = self._engine(plan)
        chain = self._load(plan, engine, folder, reached, cache)
        if folder is not None and self._needs_cloud(k, plan):
            reached = self._reach_or_none(plan, chain)
        if (sentence := no_fallback_warning(plan, self.options.constraints)) is not None:
            log.warning("%s", sentence)
        search = self._search if self.options.cloud == "auto" else None
        return Opened(engine, chain, sample, run_input, reached, search, self._embedded_address)

    def _split(self, plan: Plan) -> int | None:
        """The given split, None for auto. Raises InputError if the plan or the constraints do not allow it."""
        options = self.options
        if options.batch > 1 and not plan.batches:
            raise InputError(f"model {plan.model} takes one frame at a time; leave out --batch")
        for option, count in (("--batch", options.batch), ("--window", options.window or 1)):
            if count > 1 and plan.state:
                raise InputError(
                    f"model {plan.model} keeps state between frames, which go one by one; leave out {option}"
                )
        k = None if options.split == "auto" else split_number(options.split, plan)
        check_constraints(plan, options.constraints, k, options.cloud != "none")
        return k

    def _find_model(self) -> Path | None:
        """The model's folder, None if only a cloud can have it. Also starts the search for clouds."""
        options = self.options
        if options.wishes.flags and not is_model_file(options.model):
            raise InputError(
                f"{', '.join(options.wishes.flags)}: for model files only, and {options.model} is none; its plan has"
                " these settings already. Leave the options out, or make the plan again with `partway plan`"
            )
        try:
            if is_model_file(options.model):
                folder = sliced_folder(Path(options.model), open_cache(options.cache).folder, options.wishes)
            elif is_zoo_model(options.model) and not Path(options.model).exists():
                return self._find_zoo_model()
            elif options.random_weights:
                raise InputError(f"--random-weights is for models that `partway models` lists, not for {options.model}")
            else:
                folder = model_folder(options.model)
        except InputError:
            if ":" not in options.cloud or Path(options.model).is_file():
                raise
            return None
        self._start_clouds(folder)
        return folder

    def _start_clouds(self, folder: Path) -> None:
        """Start the embedded cloud and the search for others, if the options allow them."""
        options = self.options
        local = options.split == "device" or options.cloud == "none"
        if options.cloud in ("auto", "embedded") and not local and self._embedded is None:
            self._embedded = self._stack.enter_context(EmbeddedCloud(folder, options.threads))
        if options.cloud == "auto" and not local and self._search is None:
            self._search = self._stack.enter_context(Search())

    def _find_zoo_model(self) -> Path | None:
        """The folder of a zoo model; None if a named or announced cloud has it. Otherwise an embedded cloud makes it.

        Making it takes torch, which this process never imports.
        """
        options = self.options
        if ":" in options.cloud:
            return None
        name, random, cache = options.model, options.random_weights, open_cache(options.cache).folder
        found = prepared_folder(name, random, cache)
        if found is None and (options.split == "device" or options.cloud == "none"):
            found = prepare(name, random, cache, self._report_preparing)
        if found is None and options.cloud == "auto":
            self._announced_address = self._address_serving(plan_name(name, random))
            if self._announced_address:
                return None
        if found is None and cache is not None:
            model_options = ["--model", name, "--cache", str(cache), *(["--random-weights"] if random else [])]
            self._embedded = self._stack.enter_context(EmbeddedCloud(None, options.threads, model_options))
            self._embedded.wait_prepared(self._report_preparing)
            found = prepared_folder(name, random, cache)
        if found is None:
            raise InputError(f"there is no folder to store the plan of {name} in; give one with --cache")
        self._start_clouds(found)
        return found

    def _address_serving(self, name: str) -> str:
        """The address of an announced cloud that has a model of this name; empty if there is none."""
        if self._search is None:
            self._search = self._stack.enter_context(Search())
        return next((cloud.address for cloud in self._search.wait() if name in cloud.models), "")

    def _report_preparing(self, step: str) -> None:
        self.report.say(f"preparing {step}")

    def _needs_cloud(self, k: int | None, plan: Plan) -> bool:
        if self.options.cloud == "none":
            if k is not None and k != len(plan.stages):
                raise InputError(
                    f"split {self.options.split} needs a cloud; leave out --cloud none or use --split device"
                )
            return False
        return k is None or k != len(plan.stages)

    def _reach_or_none(self, plan: Plan, chain: Chain) -> Reached | None:
        """A cloud; None if the connection is lost and the device can answer alone."""
        try:
            return self._reach(plan)
        except LinkLost as error:
            if not chain.complete or not may_answer_on_device(plan, self.options.constraints):
                raise
            log.warning("%s; starting on the device alone", error)
            return None

    def _reach(self, plan: Plan | None) -> Reached:
        """Connect to a cloud that serves the same plan."""
        access = self.options.access
        nearest = partial(round_trip_s, access=access)
        found = self._search.result(plan.model, plan.digest, nearest) if self._search and plan else None
        if found is not None:
            try:
                found_access = access.for_found(found.address, found.tls)
                how = f"found by zeroconf{', TLS' if found.tls else ''}"
                reached = self._reach_address(found.address, plan, how, found_access)
            except InputError as error:  # it ended without a goodbye, or a firewall is in the way
                if self._embedded is None:
                    raise
                log.warning("%s; using one on this machine", error)
            else:
                if self._embedded is not None:
                    self._embedded.close()
                return reached
        if self._embedded is not None:
            how = f"embedded: started on this machine, process {self._embedded.pid}; ends with this run"
            self._embedded_address = self._embedded.address()
            return self._reach_address(self._embedded_address, plan, how, OPEN)
        if self._announced_address:
            return self._reach_address(self._announced_address, plan, "found by zeroconf")
        return self._reach_first(self.options.cloud.split(","), plan)

    def _reach_first(self, addresses: list[str], plan: Plan | None) -> Reached:
        """Connect to the first cloud that answers and serves the plan. Logs a warning for each one before it."""
        for address in addresses[:-1]:
            try:
                return self._reach_address(address, plan)
            except PartwayError as error:
                log.warning("%s; trying the next cloud", error)
        return self._reach_address(addresses[-1], plan)

    def _reach_address(self, address: str, plan: Plan | None, how: str = "", access: Access | None = None) -> Reached:
        client = self._connect(address, self.options.access if access is None else access)
        return Reached(client, self._describe(client, plan), f"{client.address} ({how})" if how else client.address)

    def _connect(self, address: str, access: Access) -> CloudClient:
        from partway.edge.transport.client import (
            CloudClient,  # imports gRPC: 20 MB that a device without a cloud saves
        )

        return self._stack.enter_context(CloudClient(address, self.options.timeout_s, access=access))

    def _describe(self, client: CloudClient, plan: Plan | None) -> Description:
        name = plan_name(self.options.model, self.options.random_weights) if plan is None else plan.model
        try:
            described = client.describe(name, "" if plan is None else plan.digest)
        except Refused as error:
            raise InputError(str(error)) from error
        if plan is not None and described.digest != plan.digest:
            if (theirs := described.plan) and theirs.model_digest == plan.model_digest and theirs.cuts != plan.cuts:
                raise InputError(
                    f"the cloud at {client.address} has another version of {name}, cut at other values; take its plan"
                    f" by --model {name}, without the file, or copy its folder to this machine"
                )
            raise InputError(
                f"the cloud at {client.address} has another version of {name} (plan {described.digest[:12]}, here"
                f" {plan.digest[:12]}); install the same model on both, or give another --cloud"
            )
        return described

    def _load(
        self, plan: Plan, engine: Engine, folder: Path | None, reached: Reached | None, cache: StageCache | None
    ) -> Chain:
        """Load the stages that the device has room for; nothing of the others is fetched or read."""
        most = stages_that_fit(plan, self.options.constraints)
        if folder is not None:
            return load_folder(folder, plan, engine, most)
        assert reached is not None
        from partway.edge.transport.fetching import Fetching

        stages, fetching = cache or open_cache(None), Fetching(reached.client, self._other_clouds(reached, plan))
        return load_chain(
            plan,
            engine,
            lambda stage: stages.read(stage, fetching.fetch),
            lambda stage: stages.data(stage, fetching.fetch_into),
            most,
        )

    def _other_clouds(self, reached: Reached, plan: Plan) -> Iterator[CloudClient]:
        """The other named clouds that serve this plan; connects to each one only when it is needed."""
        named = self.options.cloud.split(",") if ":" in self.options.cloud else []
        for address in named:
            if parse_address(address) != reached.client.address:
                try:
                    yield self._reach_address(address, plan).client
                except PartwayError as error:
                    log.warning("%s; this cloud is not used", error)


def _plan_of(reached: Reached | None, model: str) -> Plan:
    assert reached is not None
    described, address = reached.described, reached.client.address
    if described.plan is None:
        raise unknown_model(model, list(described.models))
    if described.plan.digest != described.digest:
        raise InputError(
            f"the plan of {model} from {address} does not match its digest; use the same partway version on both"
        )
    return described.plan
