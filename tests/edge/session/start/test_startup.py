"""The start of a run: the model, its frames, the cloud that serves the same plan, and the stages it can hold."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pytest
from tests.conftest import write_fake_plan

from partway.edge.discovery.zeroconf import FoundCloud
from partway.edge.options import Options
from partway.edge.report.terminal import Report
from partway.edge.session.start import startup
from partway.edge.session.start.startup import Opened, Startup
from partway.edge.transport import client
from partway.edge.transport.client import Description
from partway.engines.fake import FakeEngine
from partway.errors import InputError, LinkLost, PartwayError, Refused
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan

EMBEDDED = "127.0.0.1:7001"
NEAR, FAR, GONE = "192.0.2.1:8001", "192.0.2.2:8001", "192.0.2.3:8001"


@dataclass
class Network:
    """Clouds by address, each with the folder of the one model it serves; an error in its place is raised."""

    clouds: dict[str, Path | PartwayError] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def plan_at(self, address: str) -> Plan:
        found = self.clouds.get(address, InputError(f"no cloud answers at {address}"))
        if isinstance(found, PartwayError):
            raise found
        return load_plan(found)


class FakeClient:
    """What a start needs of CloudClient, over a Network."""

    def __init__(self, network: Network, address: str) -> None:
        self.network, self.address = network, address

    def __enter__(self) -> FakeClient:
        self.network.open.append(self.address)
        return self

    def __exit__(self, *error: object) -> None:
        self.network.open.remove(self.address)

    def describe(self, name: str, digest: str = "") -> Description:
        self.network.reached.append(self.address)
        plan = self.network.plan_at(self.address)
        known = plan if name == plan.model else None
        return Description((plan.model,), known, "" if known is None else known.digest, {}, "fake")

    def fetch(self, digest: str) -> bytes:
        folder = self.network.clouds[self.address]
        if self.address in self.network.fetched or not isinstance(folder, Path):
            raise LinkLost(f"the cloud at {self.address} is lost")
        files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in folder.glob("stage*")}
        return files[digest].read_bytes()

    def fetch_into(self, digest: str, file: BinaryIO, most_bytes: int) -> None:
        file.write(self.fetch(digest))


class FakeEmbedded:
    """A cloud on this machine that starts at once."""

    started: ClassVar[list[FakeEmbedded]] = []
    pid = 4711

    def __init__(self, models: Path | None, threads: int = 0, also: object = ()) -> None:
        self.models, self.closed = models, False
        self.started.append(self)

    def address(self) -> str:
        return EMBEDDED

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakeEmbedded:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, fake_plan: Path) -> Network:
    """No cloud but the embedded one, which serves the fake plan."""
    made = Network({EMBEDDED: fake_plan})
    monkeypatch.setattr(client, "CloudClient", lambda address, *_, **__: FakeClient(made, address))
    monkeypatch.setattr(startup, "EmbeddedCloud", FakeEmbedded)
    monkeypatch.setattr(FakeEmbedded, "started", [])
    return made


@dataclass
class Started:
    """What was opened, and what was told of it."""

    opened: Opened
    out: str


@pytest.fixture
def start(network: Network, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a run with these options; it is open until the test ends."""
    with ExitStack() as stack:

        def call(model: object, search: Any = None, **options: Any) -> Started:
            given = {"cache": tmp_path / "cache", "split": "auto", **options}
            out = StringIO()
            made = Startup(Options(str(model), **given), Report(out), stack, lambda plan: FakeEngine(), search)
            return Started(made.open(), out.getvalue())

        yield call
    assert network.open == []


class Searched:
    """A search that found this cloud, or none."""

    def __init__(self, address: str | None, tls: bool = False, models: Mapping[str, str] | None = None) -> None:
        self.found = None if address is None else FoundCloud(address, dict(models or {}), tls=tls)

    def result(self, model: str, digest: str, nearest: object) -> FoundCloud | None:
        return self.found

    def wait(self) -> tuple[FoundCloud, ...]:
        return () if self.found is None else (self.found,)


def test_without_a_cloud_nothing_is_reached(start: Callable[..., Started], network: Network, fake_plan: Path) -> None:
    """The whole model is here; without input the frames are random, and that is said."""
    started = start(fake_plan, cloud="none")
    assert started.opened.reached is None
    assert started.opened.embedded is None
    assert started.opened.chain.complete
    assert started.opened.sample.tensors(None)["x"].shape == (1, 64)
    assert started.out == "no --input given: random input\n"
    assert (network.reached, FakeEmbedded.started) == ([], [])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": "4"}, "split 4 is out of range"),
        ({"split": "1"}, "split 1 needs a cloud; leave out --cloud none or use --split device"),
        ({"random_weights": True}, "--random-weights is for models that `partway models` lists"),
        ({"inputs": ("nowhere.png",)}, "input nowhere.png does not exist"),
        ({"cache": Path("/dev/null/x")}, "cache folder /dev/null/x cannot be written"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(
    options: dict[str, Any], sentence: str, start: Callable[..., Started], network: Network, fake_plan: Path
) -> None:
    """No cloud is asked, no process begun."""
    random = options.get("random_weights", False)
    with pytest.raises(InputError, match=sentence):
        start("mnist" if random else fake_plan, cloud="none", **options)
    assert (network.reached, FakeEmbedded.started) == ([], [])


def test_a_model_that_is_here_is_served_by_an_embedded_cloud(start: Callable[..., Started], fake_plan: Path) -> None:
    """It serves the folder that the device reads, and the run knows its address."""
    opened = start(fake_plan, cloud="embedded").opened
    (embedded,) = FakeEmbedded.started
    assert (embedded.models, opened.embedded) == (fake_plan, EMBEDDED)
    assert opened.reached is not None
    assert opened.reached.where.startswith(f"{EMBEDDED} (embedded: started on this machine, process 4711")


def test_the_device_alone_starts_no_cloud(start: Callable[..., Started], fake_plan: Path) -> None:
    """Where all splits but the last are excluded by ``--split device``."""
    assert start(fake_plan, cloud="embedded", split="device").opened.reached is None
    assert FakeEmbedded.started == []


def test_a_cloud_found_near_by_goes_before_the_embedded_one(
    start: Callable[..., Started], network: Network, fake_plan: Path
) -> None:
    """The embedded one ends; the search goes on for others."""
    network.clouds[NEAR] = fake_plan
    search = Searched(NEAR)
    opened = start(fake_plan, search).opened
    assert opened.reached is not None
    assert opened.reached.where == f"{NEAR} (found by zeroconf)"
    assert (opened.embedded, opened.search) == (None, search)
    assert [embedded.closed for embedded in FakeEmbedded.started] == [True]


def test_a_cloud_that_was_found_and_does_not_answer_costs_nothing(
    start: Callable[..., Started], fake_plan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It left without a goodbye: the embedded one is used, and one sentence says so."""
    with caplog.at_level(logging.WARNING, "partway.edge"):
        opened = start(fake_plan, Searched(GONE)).opened
    assert opened.embedded == EMBEDDED
    assert caplog.messages == [f"no cloud answers at {GONE}; using one on this machine"]


def test_the_first_named_cloud_that_serves_the_plan_is_used(
    start: Callable[..., Started], network: Network, fake_plan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with those before it is said; those after it are not asked."""
    other = write_fake_plan(tmp_path / "other", (64, 8, 4))
    network.clouds |= {NEAR: other, FAR: fake_plan, "192.0.2.9:8001": fake_plan}
    with caplog.at_level(logging.WARNING, "partway.edge"):
        opened = start(fake_plan, cloud=f"{GONE},{NEAR},{FAR},192.0.2.9:8001").opened
    assert opened.reached is not None
    assert opened.reached.where == FAR
    assert network.reached == [GONE, NEAR, FAR]
    assert [message.endswith("; trying the next cloud") for message in caplog.messages] == [True, True]
    assert "has another version of fake" in caplog.messages[1]


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (InputError("no cloud answers there"), InputError, "no cloud answers there"),
        (Refused("it wants a token"), InputError, "it wants a token"),
        (PartwayError("bad"), PartwayError, "bad"),
    ],
)
def test_the_only_cloud_that_cannot_be_used_ends_the_start(
    error: PartwayError, kind: type[Exception], sentence: str, start: Callable[..., Started], network: Network,
    fake_plan: Path,
) -> None:  # fmt: skip
    """In its own words; whoever named it wants it."""
    network.clouds[NEAR] = error
    with pytest.raises(kind, match=sentence):
        start(fake_plan, cloud=NEAR)


def test_a_cloud_lost_while_it_describes_the_model_is_done_without(
    start: Callable[..., Started], network: Network, fake_plan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was there, and the device can answer alone."""
    network.clouds[NEAR] = LinkLost("the cloud is lost")
    with caplog.at_level(logging.WARNING, "partway.edge"):
        assert start(fake_plan, cloud=NEAR).opened.reached is None
    assert caplog.messages == ["the cloud is lost; starting on the device alone"]


def test_a_cloud_lost_ends_a_start_that_cannot_do_without(
    start: Callable[..., Started], network: Network, fake_plan: Path
) -> None:
    """A device without room for all stages."""
    network.clouds[NEAR] = LinkLost("the cloud is lost")
    with pytest.raises(LinkLost):
        start(fake_plan, cloud=NEAR, constraints=Constraints(max_device_bytes=700))


def test_stages_beyond_the_devices_room_are_not_read(
    start: Callable[..., Started], network: Network, fake_plan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their files may be missing; that frames go unanswered without a cloud is said at once."""
    (fake_plan / "stage2.json").unlink()
    with caplog.at_level(logging.WARNING, "partway.edge"):
        opened = start(fake_plan, cloud="embedded", constraints=Constraints(max_device_bytes=700)).opened
    assert not opened.chain.complete
    assert len(opened.chain.stages) < 3
    assert "if the cloud is lost, frames get no answer" in caplog.text


def test_a_model_that_only_the_cloud_has_is_fetched(
    start: Callable[..., Started], network: Network, tmp_path: Path
) -> None:
    """Its plan comes with the description, its stages by digest; a second start fetches nothing."""
    network.clouds[NEAR] = write_fake_plan(tmp_path / "theirs", name="elsewhere")
    opened = start("elsewhere", cloud=NEAR).opened
    assert (opened.chain.plan.model, len(opened.chain.stages)) == ("elsewhere", 3)
    network.fetched.append(NEAR)  # it would refuse
    assert start("elsewhere", cloud=NEAR).opened.chain.complete


def test_stages_come_from_the_next_cloud_where_one_is_lost(
    start: Callable[..., Started], network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others that were named are asked only then; one that does not serve the plan is passed over."""
    theirs = write_fake_plan(tmp_path / "theirs", name="elsewhere")
    network.clouds |= {NEAR: theirs, FAR: theirs}
    network.fetched.append(NEAR)
    with caplog.at_level(logging.WARNING, "partway.edge"):
        opened = start("elsewhere", cloud=f"{NEAR},{GONE},{FAR}").opened
    assert opened.chain.complete
    assert caplog.messages == [
        f"no cloud answers at {GONE}; this cloud is not used",
        f"the cloud at {NEAR} is lost; fetching the model from the one at {FAR}",
    ]


def test_a_name_that_the_cloud_does_not_know_either_is_refused(
    start: Callable[..., Started], network: Network, fake_plan: Path
) -> None:
    """With the names that the cloud knows."""
    network.clouds[NEAR] = fake_plan
    with pytest.raises(InputError, match=r"unknown model 'fakes'; did you mean fake\? known models: fake "):
        start("fakes", cloud=NEAR)


def test_a_plan_that_is_not_what_its_digest_says_is_refused(
    start: Callable[..., Started], network: Network, fake_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of Partway reads it otherwise: both must be the same."""
    network.clouds[NEAR] = fake_plan
    plan = load_plan(fake_plan)
    description = Description(("fake",), plan, "f" * 64, {}, "fake")
    monkeypatch.setattr(FakeClient, "describe", lambda *_: description)
    with pytest.raises(InputError, match="does not match its digest; use the same partway version on both"):
        start("fake", cloud=NEAR)
    with pytest.raises(InputError, match=rf"has another version of fake \(plan ffffffffffff, here {plan.digest[:12]}"):
        start(fake_plan, cloud=NEAR)


def test_a_cloud_that_cuts_the_same_model_elsewhere_is_told_what_to_do(
    start: Callable[..., Started], network: Network, fake_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines that slice one file measure different times, and may choose other cuts."""
    network.clouds[NEAR] = fake_plan
    plan = load_plan(fake_plan)
    fewer = replace(plan, cuts=(plan.cuts[0], plan.cuts[-1]))
    description = Description(("fake",), fewer, "f" * 64, {}, "fake")
    monkeypatch.setattr(FakeClient, "describe", lambda *_: description)
    with pytest.raises(InputError, match=r"cut at other values; take its plan by --model fake, without the file"):
        start(fake_plan, cloud=NEAR)
