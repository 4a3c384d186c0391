"""What the doctor sees of the network: interfaces, clouds that announce themselves, and what each answers."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import ifaddr
import pytest
from tests.support.raw_services import raw_services

import partway
from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.doctor.checks import BAD, GOOD, NOTE, Finding, ready
from partway.edge.doctor.network import check_cloud, check_clouds, check_interfaces, network_checks
from partway.edge.transport.access.access import Access, Tls
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.proto import messages as m

DIGEST = load_plan(model_folder("mnist")).digest
TOKEN = "5f1d7e84c2a9b06d"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network on which nobody announces anything."""
    monkeypatch.setattr(Search, "_start", lambda self: None)


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Callable[[FoundCloud], None]:
    """A network on which this cloud announces itself."""

    def announce(cloud: FoundCloud) -> None:
        monkeypatch.setattr(Search, "_start", lambda self: self.add(cloud))

    return announce


def serving(digests: dict[str, str], server: str = f"partway {partway.__version__}") -> Any:
    """A cloud that serves these models, by name and the plan's digest; use as a context manager."""

    def describe(request: bytes, context: Any) -> bytes:
        name = m.DescribeRequest.FromString(request).model
        made = m.DescribeResponse(models=list(digests), plan_digest=digests.get(name, ""), server=server)
        return bytes(made.SerializeToString())

    return raw_services(Describe=describe, Probe=lambda request, context: m.ProbeResponse().SerializeToString())


def by_check(found: list[Finding]) -> dict[str, list[Finding]]:
    """The findings by what was checked."""
    return {check: [f for f in found if f.check == check] for check in dict.fromkeys(f.check for f in found)}


def adapter(name: str, *hosts: str) -> Any:
    """A network interface with these addresses."""
    ips = [
        SimpleNamespace(ip=(host, 0, 0) if ":" in host else host, is_IPv4=":" not in host, is_IPv6=":" in host)
        for host in hosts
    ]
    return SimpleNamespace(nice_name=name, ips=ips)


def test_every_interface_is_named_with_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions of IP count, loopback does not; an interface without an address is left out."""
    adapters = [
        adapter("lo", "127.0.0.1", "::1"),
        adapter("eth0", "192.0.2.7", "fe80::1"),
        adapter("wlan0"),
        adapter("usb0", "127.0.0.9", "198.51.100.1"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    assert [(f.check, f.state, f.text) for f in check_interfaces()] == [
        ("interface", GOOD, "eth0: 192.0.2.7, fe80::1"),
        ("interface", GOOD, "usb0: 198.51.100.1"),
    ]


def test_a_machine_without_a_network_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback alone is a note, not a fault: a device may do without a cloud."""
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter("lo", "127.0.0.1", "::1")])
    (finding,) = check_interfaces()
    assert (finding.state, finding.text) == (NOTE, "none but loopback")
    assert finding.todo


def test_what_a_cloud_announces_is_told(start_cloud: Callable[..., Any]) -> None:
    """Its other addresses, TLS, and that it is busy; another version is a note."""
    address = start_cloud().address
    cloud = FoundCloud(address, {}, "0", tls=True, load=9.0, hosts=("127.0.0.1", "192.0.2.7"))
    found = check_cloud(cloud, 5.0)
    assert f"{address} (also 192.0.2.7), TLS: partway" in found[0].text
    assert [f.check for f in found[:2]] == ["cloud", "cloud load"]
    assert ready(found)


@pytest.mark.parametrize("address", ["192.0.2.70:9", "[fe80::12]:9"])
def test_a_host_is_compared_whole(address: str) -> None:
    """An address that begins like another one is another address; the one that was asked is not repeated."""
    asked = address.rpartition(":")[0].strip("[]")
    hosts = ("192.0.2.7", "fe80::1", f"{asked}%eth0")
    (finding,) = check_cloud(FoundCloud(address, {}, hosts=hosts), 0.1)
    assert finding.text.startswith(f"{address} (also 192.0.2.7, fe80::1): ")


@pytest.mark.usefixtures("alone")
def test_a_network_without_clouds_says_how_to_start_one() -> None:
    """No cloud is a note: the device may do without."""
    (finding,) = check_clouds(0.0)
    assert (finding.state, "cloud-serve --host" in finding.todo) == (NOTE, True)


def test_a_cloud_is_told_with_its_link_and_models() -> None:
    """The server, its bandwidth and round trip, and each model with the plan's digest, sorted by name."""
    with serving({"zebra": "e" * 64, "mnist": DIGEST}) as address:
        found = by_check(check_cloud(FoundCloud(address, {}), 5.0))
    (cloud,) = found["cloud"]
    assert cloud.text.startswith(f"{address}: partway {partway.__version__}, ")
    assert cloud.text.endswith(" round trip")
    assert [(f.state, f.text) for f in found["model"]] == [
        (GOOD, f"mnist, plan {DIGEST[:12]}, the same as here"),
        (GOOD, f"zebra, plan {'e' * 12} (edge-run --model zebra fetches it)"),
    ]
    assert set(found) == {"cloud", "model"}


def test_another_plan_and_another_version_are_notes() -> None:
    """Both have the two values to compare and what to do; neither keeps the device from working."""
    with serving({"mnist": "f" * 64}, "partway 0.0.1") as address:
        found = check_cloud(FoundCloud(address, {}), 5.0)
    notes = by_check(found)
    (version,), (model,) = notes["cloud version"], notes["model"]
    assert (version.state, version.text) == (NOTE, f"0.0.1, here {partway.__version__}")
    assert (model.state, model.text) == (NOTE, f"mnist, plan {'f' * 12}, differs from the one here ({DIGEST[:12]})")
    assert version.todo
    assert model.todo
    assert ready(found)


@pytest.mark.parametrize(("load", "busy"), [(None, False), (0.2, False), (1.5, False), (1.6, True)])
def test_a_busy_cloud_is_noted(load: float | None, busy: bool) -> None:
    """From more than one and a half runnable processes a core; a cloud that does not tell is not busy."""
    with serving({}) as address:
        found = by_check(check_cloud(FoundCloud(address, {}, load=load), 5.0))
    assert ("cloud load" in found) is busy


def test_a_cloud_that_refuses_is_told_apart_from_one_that_is_not_there() -> None:
    """The refusal's own sentence is shown; silence has the sentence of the transport."""

    def refuse(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "it wants a token and none came")
        return b""

    with raw_services(Describe=refuse) as address:
        (refused,) = check_cloud(FoundCloud(address, {}), 5.0)
    (silent,) = check_cloud(FoundCloud("127.0.0.1:1", {}), 0.2)
    assert (refused.state, silent.state) == (BAD, BAD)
    assert "it wants a token and none came" in refused.text
    assert silent.text == "127.0.0.1:1: does not answer"
    assert "no cloud answers at 127.0.0.1:1" in silent.todo


def test_a_cloud_that_announces_itself_and_is_named_is_asked_once(announced: Callable[[FoundCloud], None]) -> None:
    """What it announced counts; an address that nobody announced is asked after it."""
    with serving({}) as address:
        announced(FoundCloud(address, {}, load=9.0))
        found = check_clouds(0.0, [address, "127.0.0.1:1"], 0.2)
    assert [(f.check, f.state) for f in found] == [("cloud", GOOD), ("cloud load", NOTE), ("cloud", BAD)]
    assert "127.0.0.1:1" in found[-1].text


def test_an_announced_cloud_without_tls_gets_no_token(announced: Callable[[FoundCloud], None]) -> None:
    """It is not asked at all, and the note says what to do; the token itself is not shown."""
    with serving({}) as address:
        announced(FoundCloud(address, {}))
        notes = [check_clouds(0.0, access=access) for access in (Access(TOKEN), Access("", Tls(b"roots")))]
    for (note,) in notes:
        assert (note.state, note.text) == (NOTE, f"{address}: not queried")
        assert "does not use TLS" in note.todo
        assert TOKEN not in note.todo


@pytest.mark.usefixtures("alone")
def test_the_checks_are_listed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interfaces first, then clouds, with the options given; the environment stays as it is."""
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    interfaces, clouds = network_checks(0.0, ["127.0.0.1:1"])
    assert interfaces is check_interfaces
    assert [f.state for f in clouds()] == [BAD]
    assert "GRPC_VERBOSITY" not in os.environ
