"""Clouds that announce themselves."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zeroconf

from partway.edge.discovery.zeroconf import FoundCloud, Search, reachable

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without multicast."""

    def no_network(*_: object, **__: object) -> None:
        raise OSError("no multicast here")

    monkeypatch.setattr(zeroconf, "Zeroconf", no_network)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("quiet")
def test_without_multicast_nothing_is_found() -> None:
    """A network that says no is an answer like any other."""
    with Search(wait_s=0.01) as search:
        assert search.result("mnist", DIGEST) is None


@pytest.mark.usefixtures("quiet")
def test_a_cloud_with_the_same_plan_is_taken_at_once() -> None:
    """The search ends as soon as a cloud with this very plan is heard of, before its time is over."""
    search = Search(wait_s=600)
    threading.Timer(0.01, search.add, [FoundCloud("192.0.2.7:8001", {"mnist": DIGEST[:32]})]).start()
    assert search.result("mnist", DIGEST) == FoundCloud("192.0.2.7:8001", {"mnist": DIGEST[:32]})


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("models", [{}, {"other": DIGEST}, {"mnist": "f" * 32}, {"mnist": ""}])
def test_a_cloud_with_another_plan_is_left_alone(models: dict[str, str]) -> None:
    """Clouds that serve other models, another version, or do not tell, are none for this run."""
    search = Search(wait_s=0.01)
    search.add(FoundCloud("192.0.2.7:8001", models))
    assert search.result("mnist", DIGEST) is None


@pytest.mark.usefixtures("quiet")
def test_the_first_match_wins() -> None:
    """Of several clouds that fit, the one heard of first is taken."""
    search = Search(wait_s=600)
    for port in (1, 2, 3):
        search.add(FoundCloud(f"192.0.2.7:{port}", {"mnist": DIGEST[:32] if port > 1 else "f"}))
    assert search.result("mnist", DIGEST) == FoundCloud("192.0.2.7:2", {"mnist": DIGEST[:32]})


def test_only_addresses_that_respond_are_taken(listener: int) -> None:
    """A cloud announces all its addresses; the first one that takes a connection is used."""
    assert reachable(["127.0.0.2", "127.0.0.1"], listener) == f"127.0.0.1:{listener}"
    assert reachable([], listener) is None


def test_an_announcement_that_outlived_its_cloud_is_ignored(listener: int) -> None:
    """Where nobody listens any more there is nothing to find."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()[1]
    assert gone != listener
    assert reachable(["127.0.0.1"], gone) is None


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_addresses_are_bracketed() -> None:
    """An IPv6 address and its port come as gRPC takes them."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with server:
        port = server.getsockname()[1]
        assert reachable(["::1"], port) == f"[::1]:{port}"


class Announced:
    """What zeroconf tells of a service."""

    def __init__(self, port: int | None, hosts: list[str]) -> None:
        self.port, self.hosts = port, hosts
        self.properties = {b"model.mnist": DIGEST[:32].encode(), b"model.odd\xff": None, b"version": b"1"}

    def parsed_scoped_addresses(self) -> list[str]:
        return self.hosts


class Network:
    """A zeroconf that has one service to tell of, or is closed already."""

    def __init__(self, service: Announced | None, closed: bool = False) -> None:
        self.service, self.closed = service, closed

    def get_service_info(self, *_: Any, **__: Any) -> Any:
        if self.closed:
            raise zeroconf.NotRunningException
        return self.service


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("change", "service", "found"),
    [
        (zeroconf.ServiceStateChange.Added, "there", True),
        (zeroconf.ServiceStateChange.Removed, "there", False),
        (zeroconf.ServiceStateChange.Added, "without address", False),
        (zeroconf.ServiceStateChange.Added, "without port", False),
        (zeroconf.ServiceStateChange.Added, "gone", False),
        (zeroconf.ServiceStateChange.Added, "closed", False),
    ],
)
def test_announcements_become_clouds(change: Any, service: str, found: bool, listener: int) -> None:
    """An announcement counts when it is new, complete, and somebody listens at its address."""
    search = Search(wait_s=0.01)
    told = {
        "there": Announced(listener, ["127.0.0.1"]),
        "without address": Announced(listener, []),
        "without port": Announced(None, ["127.0.0.1"]),
        "gone": None,
        "closed": Announced(listener, ["127.0.0.1"]),
    }
    search._changed(Network(told[service], service == "closed"), "_partway._tcp.local.", "cloud", change)
    expected = FoundCloud(f"127.0.0.1:{listener}", {"mnist": DIGEST[:32], "odd\ufffd": ""}, "1")
    assert search.result("mnist", DIGEST) == (expected if found else None)


@pytest.mark.usefixtures("quiet")
def test_an_announcement_nobody_foresaw_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """zeroconf's thread goes on, and the log names the announcement."""

    class Odd(Announced):
        def parsed_scoped_addresses(self) -> list[str]:
            raise ValueError("odd address")

    search = Search(wait_s=0.01)
    search._changed(Network(Odd(1, [])), "_partway._tcp.local.", "cloud-7", zeroconf.ServiceStateChange.Added)
    assert "the announcement of cloud-7 cannot be read (odd address)" in caplog.text
    assert search.clouds() == ()


@pytest.mark.usefixtures("quiet")
def test_of_several_clouds_the_nearest_is_taken() -> None:
    """Those heard of within the grace are asked how far they are; one that does not answer comes last."""
    far, near, mute = (FoundCloud(f"192.0.2.{n}:1", {"mnist": DIGEST[:32]}) for n in (1, 2, 3))
    seconds = {far.address: 0.2, near.address: 0.01, mute.address: float("inf")}
    search = Search(wait_s=600)
    for found in (mute, far):
        search.add(found)
    threading.Timer(0.02, search.add, [near]).start()
    assert search.result("mnist", DIGEST, lambda found: seconds[found.address]) == near


@pytest.mark.usefixtures("quiet")
def test_a_single_cloud_is_not_asked_how_far_it_is() -> None:
    """There is nothing to compare it with."""
    search = Search(wait_s=600)
    search.add(FoundCloud("192.0.2.1:1", {"mnist": DIGEST[:32]}))
    assert search.result("mnist", DIGEST, lambda _: pytest.fail("it was asked")) is not None


@pytest.mark.usefixtures("quiet")
def test_a_cloud_that_leaves_is_forgotten() -> None:
    """After its goodbye it is no candidate; news of a cloud replace what was known of it."""
    search = Search(wait_s=0.01)
    gone, stays = (FoundCloud(f"192.0.2.{n}:1", {"mnist": DIGEST[:32]}, load=0.1) for n in (1, 2))
    search.add(gone, "gone._partway._tcp.local.")
    search.add(stays, "stays._partway._tcp.local.")
    search._changed(None, "", "gone._partway._tcp.local.", zeroconf.ServiceStateChange.Removed)
    search.withdraw("never heard of")
    busier = FoundCloud(stays.address, stays.models, load=3.0)
    search.add(busier, "stays._partway._tcp.local.")
    assert search.wait() == search.clouds() == (busier,)
    assert search.result("mnist", DIGEST) == busier


@pytest.mark.usefixtures("quiet")
def test_what_a_cloud_says_of_itself_is_read(listener: int) -> None:
    """Version, TLS and load; a load that is no number is none."""
    search = Search(wait_s=0.01)
    for load, expected in ((b"0.5", 0.5), (b"much", None)):
        service = Announced(listener, ["192.0.2.9", "127.0.0.1"])
        service.properties |= {b"tls": b"1", b"load": load}
        search._changed(Network(service), "", "cloud", zeroconf.ServiceStateChange.Updated)
        (found,) = search.clouds()
        assert (found.tls, found.load, found.version) == (True, expected, "1")
        assert found.hosts == ("192.0.2.9", "127.0.0.1")
