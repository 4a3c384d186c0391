"""One cloud that is looked after in the background: what is seen of it, what is said, and when it is left alone."""

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.conftest import RealCloud
from tests.support.raw_services import raw_services
from tests.support.served import Cloud

from partway.cloud.models.repository import load_model
from partway.edge.transport import cloud_monitor as monitor_module
from partway.edge.transport.access.access import OPEN, Access, Tls
from partway.edge.transport.cloud_monitor import ANSWER_S, LEAST_BYTES, MOST_BYTES, TICK_S, CloudMonitor
from partway.partitioner.decide.estimate import Link
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto import messages as m

PLAN = load_plan(model_folder("mnist"))
PATIENCE_S = 30.0
LINK = Link(1e6, 0.04)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread brings about."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, "it never came to that"
        time.sleep(0.01)


class Served:
    """The two methods that are called of a cloud, as this test wants them, and how often each was."""

    def __init__(self, digest: str = PLAN.digest, queue_s: float = 0.0) -> None:
        self.digest, self.queue_s = digest, queue_s
        self.calls: Counter[str] = Counter()
        self.described: list[Any] = []
        self.probed: list[int] = []
        self.metadata: set[tuple[str, str]] = set()
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.silent: threading.Event | None = None

    def _called(self, method: str, context: Any) -> None:
        self.calls[method] += 1
        self.metadata |= {(key, value) for key, value in context.invocation_metadata() if key == "authorization"}
        if self.silent is not None:
            self.silent.wait(PATIENCE_S)
        if self.refusal is not None:
            context.abort(*self.refusal)

    def describe(self, request: bytes, context: Any) -> bytes:
        self._called("Describe", context)
        self.described.append(m.DescribeRequest.FromString(request))
        return bytes(m.DescribeResponse(models=["mnist"], plan_digest=self.digest).SerializeToString())

    def probe(self, request: bytes, context: Any) -> bytes:
        self._called("Probe", context)
        self.probed.append(len(m.ProbeRequest.FromString(request).payload))
        return bytes(m.ProbeResponse(queue_s=self.queue_s).SerializeToString())

    def listening(self) -> Any:
        """As a context manager: serve, and give the address."""
        return raw_services(Describe=self.describe, Probe=self.probe)


@pytest.fixture
def watch() -> Iterator[Callable[..., CloudMonitor]]:
    """Look after an address; every thread that was started is ended after the test."""
    started: list[CloudMonitor] = []

    def begin(address: str, idle: bool = False, access: Access = OPEN, **options: Any) -> CloudMonitor:
        started.append(CloudMonitor(address, "mnist", PLAN.digest, lambda: idle, access, **options))
        return started[-1]

    yield begin
    for monitor in started:
        monitor.close()


def test_an_idle_link_is_probed_and_a_busy_one_is_not(start_cloud: Callable[..., RealCloud]) -> None:
    """Probes carry bytes, seconds and the cloud's queue; none goes out while frames tell enough."""
    cloud = start_cloud()
    idle = threading.Event()
    monitor = CloudMonitor(cloud.address, "mnist", PLAN.digest, idle.is_set)
    try:
        monitor.use(Link(1e6, 1e-3))
        time.sleep(3 * TICK_S)
        assert not monitor.probes
        idle.set()
        until(lambda: len(monitor.probes) >= 2)
        small, large = list(monitor.probes)[:2]
        assert small.size_bytes < large.size_bytes
        assert small.seconds > 0
        assert small.queue_s == 0.0
    finally:
        monitor.close()
    assert not any(thread.name.startswith("cloud-monitor") for thread in threading.enumerate())


@pytest.mark.parametrize("model", ["mnist", "nobody knows this"])
def test_a_cloud_with_another_plan_is_no_sighting(
    start_cloud: Callable[..., RealCloud], caplog: pytest.LogCaptureFixture, model: str
) -> None:
    """Another version, or no such model: not used, and said once however often it is looked at."""
    monitor = CloudMonitor(start_cloud().address, model, "0" * 64, lambda: False)
    try:
        until(lambda: caplog.text)
        time.sleep(0.5)
        assert monitor.status is None
    finally:
        monitor.close()
    assert caplog.text.count("it is not used") == 1


def test_the_cloud_in_use_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes for where to go would be in the way of the first frames; another cloud's lookout looks at once."""
    looked: list[str] = []
    monkeypatch.setattr(CloudMonitor, "_look", lambda self: looked.append(self.address))
    link = Link(1e6, 0.04)
    used = CloudMonitor("127.0.0.1:1", "mnist", PLAN.digest, lambda: False, in_use=True, link=link)
    other = CloudMonitor("127.0.0.1:2", "mnist", PLAN.digest, lambda: False)
    try:
        until_s = time.perf_counter() + 5.0
        while len(looked) < 2 and time.perf_counter() < until_s:
            time.sleep(0.01)
        assert set(looked) == {"127.0.0.1:2"}
        assert used.link == link
    finally:
        used.close()
        other.close()


def test_a_cloud_with_the_plan_is_seen_with_its_link_and_queue(watch: Callable[..., CloudMonitor]) -> None:
    """At once, without fetching the plan again; how long frames would wait there comes with it."""
    served = Served(queue_s=0.25)
    with served.listening() as address:
        monitor = watch(address, access=Access("5f1d7e84c2a9b06d"))
        until(lambda: monitor.status)
        seen = monitor.status
        monitor.close()
    assert seen is not None
    assert (seen.address, seen.queue_s) == (address, 0.25)
    assert seen.link.bandwidth_bps > 0
    assert seen.link.rtt_s > 0
    assert seen.seen_s <= time.perf_counter()
    assert (served.described[0].model, served.described[0].known_digest) == ("mnist", PLAN.digest)
    assert served.metadata == {("authorization", "Bearer 5f1d7e84c2a9b06d")}


def test_a_cloud_that_starts_later_is_seen_then(watch: Callable[..., CloudMonitor]) -> None:
    """Nobody there is no news and no warning; it is looked for again and again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monitor = watch(f"127.0.0.1:{port}")
    time.sleep(0.2)
    assert monitor.status is None
    services = {"Describe": Served().describe, "Probe": Served().probe}
    handlers = {name: grpc.unary_unary_rpc_method_handler(made) for name, made in services.items()}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(m.SPLIT_SERVICE, handlers)])
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    try:
        until(lambda: monitor.status)
    finally:
        monitor.close()
        server.stop(None).wait()


def test_a_cloud_that_is_used_is_no_candidate_until_it_is_lost(watch: Callable[..., CloudMonitor]) -> None:
    """Use takes the sighting away and keeps the link; after a loss the cloud is seen again."""
    served = Served()
    with served.listening() as address:
        monitor = watch(address)
        until(lambda: monitor.status)
        monitor.use(LINK)
        assert (monitor.status, monitor.link) == (None, LINK)
        looks = served.calls["Describe"]
        time.sleep(2 * TICK_S)
        assert (monitor.status, served.calls["Describe"]) == (None, looks)
        monitor.lost()
        until(lambda: monitor.status)
        assert served.calls["Describe"] > looks
        monitor.close()


def test_a_cloud_that_goes_is_no_longer_seen(
    watch: Callable[..., CloudMonitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud on stand-by is looked at now and then; one that refuses by then is forgotten until it is well."""
    monkeypatch.setattr(monitor_module, "STANDBY_S", 0.05)
    served = Served()
    with served.listening() as address:
        monitor = watch(address)
        until(lambda: monitor.status)
        served.refusal = grpc.StatusCode.UNAVAILABLE, "stopping"
        until(lambda: monitor.status is None)
        served.refusal = None
        until(lambda: monitor.status)
        monitor.close()


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ((grpc.StatusCode.NOT_FOUND, "no such model"), "does not serve mnist any more; it is not used"),
        ((grpc.StatusCode.UNAUTHENTICATED, "the token is not this cloud's"), "refused: the token is not this cloud's;"),
        ((grpc.StatusCode.UNAVAILABLE, "stopping"), ""),
    ],
)
def test_what_waiting_does_not_mend_is_warned_of_once(
    refusal: tuple[grpc.StatusCode, str],
    says: str,
    watch: Callable[..., CloudMonitor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However often it is looked at; a cloud that is only away for a moment needs no warning."""
    served = Served()
    served.refusal = refusal
    with served.listening() as address:
        monitor = watch(address)
        until(lambda: served.calls["Describe"] >= 3)
        monitor.close()
    warnings = [record.getMessage() for record in caplog.records if record.name == "partway.edge"]
    assert monitor.status is None
    assert len(warnings) == bool(says)
    assert says in "".join(warnings)


def test_another_warning_is_given_and_the_same_one_again_after_the_cloud_was_well(
    watch: Callable[..., CloudMonitor], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud that changes its plan twice is named twice."""
    monkeypatch.setattr(monitor_module, "STANDBY_S", 0.05)
    served = Served(digest="0" * 64)
    with served.listening() as address:
        monitor = watch(address)
        until(lambda: "another version" in caplog.text)
        served.digest = PLAN.digest
        until(lambda: monitor.status)
        served.digest = "0" * 64
        until(lambda: caplog.text.count("another version") == 2)
        assert monitor.status is None
        monitor.close()


def test_a_fault_of_tls_is_said_in_words(watch: Callable[..., CloudMonitor], caplog: pytest.LogCaptureFixture) -> None:
    """A cloud in the clear, looked for by TLS: what is wrong, once."""
    served = Served()
    with served.listening() as address:
        monitor = watch(address, access=Access("", Tls()))
        until(lambda: caplog.text)
        monitor.close()
    assert f"no TLS connection to the cloud at {address}: " in caplog.text
    assert served.calls.total() == 0


@pytest.mark.parametrize(
    ("bandwidth_bps", "size"), [(8e6, 30_000), (1e3, LEAST_BYTES), (1e12, MOST_BYTES)], ids=["8Mbps", "thin", "fast"]
)
def test_a_probe_of_an_idle_link_is_as_large_as_the_link_carries_in_a_moment(
    bandwidth_bps: float, size: int, watch: Callable[..., CloudMonitor]
) -> None:
    """One small probe and one by the link's bandwidth, within bounds; both are kept for whoever asks."""
    served = Served(queue_s=0.5)
    with served.listening() as address:
        monitor = watch(address, idle=True, in_use=True, link=Link(bandwidth_bps, 0.01))
        until(lambda: len(monitor.probes) >= 2)
        monitor.close()
    small, large = list(monitor.probes)[:2]
    assert (small.size_bytes, large.size_bytes) == (16, size)
    assert served.probed[2] == size
    assert small.queue_s == large.queue_s == 0.5
    assert small.at_s <= large.at_s
    assert served.calls["Describe"] == 0


def test_a_cloud_in_use_that_does_not_answer_has_a_slow_link(watch: Callable[..., CloudMonitor]) -> None:
    """Silence counts as the time that was waited, so that the estimate of the link falls."""
    served = Served()
    served.silent = threading.Event()
    try:
        with served.listening() as address:
            monitor = watch(address, idle=True, in_use=True, link=Link(8e6, 0.01))
            until(lambda: monitor.probes)
            probe, link = monitor.probes[0], monitor.link
            monitor.dismiss()
            served.silent.set()
    finally:
        served.silent.set()
    assert (probe.size_bytes, probe.seconds) == (30_000, ANSWER_S)
    assert link == Link(30_000 * 8 / ANSWER_S, ANSWER_S)


def test_a_cloud_that_is_dismissed_is_not_looked_at_any_more(watch: Callable[..., CloudMonitor]) -> None:
    """Its thread ends, and what was seen of it is forgotten."""
    served = Served()
    with served.listening() as address:
        monitor = watch(address)
        until(lambda: monitor.status)
        monitor.dismiss()
        assert monitor.status is None
        monitor.close()
        calls = served.calls.total()
        time.sleep(0.2)
        assert served.calls.total() == calls
    assert not any(address in thread.name for thread in threading.enumerate())


class KeyAway(Access):
    """In the clear; but as long as ``away`` exists, no channel can be made."""

    away: Path

    def channel(self, address: str, options: list[tuple[str, Any]], kind: Any) -> Any:
        if self.away.exists():
            raise FileNotFoundError("the key is away")
        return super().channel(address, options, kind)


def test_a_key_that_is_away_for_a_while_does_not_end_the_looking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Looks fail meanwhile, which is said once; once the key is back the cloud is seen."""
    mnist, access = load_model(model_folder("mnist"), 1), KeyAway()
    KeyAway.away = tmp_path / "away"
    KeyAway.away.touch()
    with Cloud({"mnist": mnist}) as cloud, caplog.at_level(logging.WARNING):
        monitor = CloudMonitor(f"127.0.0.1:{cloud.port}", "mnist", mnist.digest, lambda: False, access)
        try:
            until(lambda: caplog.records)
            monitor.lost()
            monitor.lost()
            time.sleep(0.1)
            KeyAway.away.unlink()
            monitor.lost()
            until(lambda: monitor.status)
        finally:
            monitor.close()
    assert ["the key is away" in record.message for record in caplog.records] == [True]


def test_a_real_key_file_may_come_and_go(tmp_path: Path) -> None:
    """A device's own certificate is read anew for every look; the thread outlives files that are not there."""
    missing = Tls(None, tmp_path / "c.pem", tmp_path / "k.pem")
    monitor = CloudMonitor("127.0.0.1:9", "mnist", "d", lambda: False, Access(tls=missing))
    try:
        until(lambda: monitor._last_warning)
        assert monitor._thread.is_alive()
    finally:
        monitor.close()


def test_a_probe_that_fails_does_not_end_the_looking(caplog: pytest.LogCaptureFixture) -> None:
    """A cloud in use is probed again after something nobody foresaw."""
    asked: list[int] = []

    def idle() -> bool:
        asked.append(1)
        raise RuntimeError("odd")

    with caplog.at_level(logging.WARNING):
        monitor = CloudMonitor("127.0.0.1:9", "mnist", "d", idle, in_use=True)
        try:
            for count in (1, 2):
                until(lambda count=count: len(asked) >= count)  # type: ignore[misc]
                monitor._wake.set()
        finally:
            monitor.close()
    assert sum("odd" in record.message for record in caplog.records) == 1
