"""Announcing a cloud on the local network."""

import asyncio
import logging
import socket
from typing import Any

import pytest
from zeroconf import NonUniqueNameException, ServiceInfo
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

import partway
from partway.cloud import advertise as module
from partway.cloud.advertise import Advert, advertise, reachable_addresses
from partway.edge.discovery import zeroconf as discovery

ORIGINAL, SERVICE_TYPE = module.SERVICE_TYPE, "_partway-test._tcp.local."


@pytest.fixture(autouse=True)
def _among_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device on this network should find what is only a test."""
    monkeypatch.setattr(module, "SERVICE_TYPE", SERVICE_TYPE)


def needs_a_network() -> None:
    """Skip where there is nothing but loopback."""
    if not reachable_addresses("0.0.0.0"):
        pytest.skip("no network interface but loopback")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback_is_not_announced(host: str) -> None:
    """Nobody else could reach it."""
    assert reachable_addresses(host) == []
    assert asyncio.run(advertise(host, 1, {})) is None


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "[2001:db8::7]"])
def test_an_address_of_our_own_is_announced_as_it_is(host: str) -> None:
    """Listening on one address, that one is reachable."""
    assert reachable_addresses(host) == [host.strip("[]")]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 300, "a..b"])
def test_a_name_nobody_knows_is_not_announced(host: str) -> None:
    """A host name that does not resolve has no addresses, and nothing breaks."""
    assert reachable_addresses(host) == []


def test_every_interface_is_announced_but_loopback() -> None:
    """Listening everywhere, every address is there; whoever listens on IPv6 listens on IPv4 as well."""
    found = reachable_addresses("0.0.0.0")
    assert found == [address for address in reachable_addresses("::") if ":" not in address]
    assert reachable_addresses("::") == reachable_addresses("[::]")
    assert "::1" not in reachable_addresses("::")
    assert not [address for address in found if address.startswith("127.")]


def test_an_announcement_can_be_found_and_taken_back() -> None:
    """Port, addresses, version and models with the beginning of their digests are what a device sees."""
    needs_a_network()

    async def scenario() -> None:
        advert = await advertise("0.0.0.0", 4711, {"mnist": "ab" * 32})
        if advert is None:
            pytest.skip("the network takes no multicast")
        name = f"{socket.gethostname()[:40]}-4711.{SERVICE_TYPE}"
        async with AsyncZeroconf() as zeroconf:
            found = AsyncServiceInfo(SERVICE_TYPE, name)
            seen = await found.async_request(zeroconf.zeroconf, 5000)
            await advert.stop()
        if not seen:
            pytest.skip("multicast does not come back on this network")
        assert found.port == 4711
        assert found.parsed_addresses() == reachable_addresses("0.0.0.0")
        properties = {k.decode(): (v or b"").decode() for k, v in found.properties.items()}
        assert float(properties.pop("load")) >= 0
        assert properties == {"model.mnist": "ab" * 16, "version": partway.__version__, "tls": "0"}

    asyncio.run(scenario())


class Refusing:
    """A network that says no."""

    closed = 0

    def __init__(self, **options: Any) -> None:
        pass

    async def async_register_service(self, info: Any, **options: Any) -> None:
        raise self.error

    async def async_close(self) -> None:
        type(self).closed += 1

    error: Exception


@pytest.mark.parametrize("error", [OSError("no route"), NonUniqueNameException()])
def test_a_network_that_says_no_is_reported(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The cloud goes on without announcement, the log tells what devices need, and nothing stays open."""
    monkeypatch.setattr(Refusing, "error", error, raising=False)
    monkeypatch.setattr(Refusing, "closed", 0)
    monkeypatch.setattr(module, "AsyncZeroconf", Refusing)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(advertise("192.0.2.7", 4711, {"mnist": "ab"})) is None
    assert "devices need --cloud HOST:4711" in caplog.text
    assert Refusing.closed == 1


def test_a_network_that_goes_down_does_not_end_the_cloud(caplog: pytest.LogCaptureFixture) -> None:
    """The load cannot be told any more: said once, until it can again."""
    failing = True

    async def told() -> None:
        return None

    class Down:
        async def async_update_service(self, _: object) -> Any:
            if failing:
                raise OSError("network is down")
            return told()

    async def scenario() -> None:
        nonlocal failing
        info = ServiceInfo(SERVICE_TYPE, f"cloud.{SERVICE_TYPE}", 1, properties={"load": "0.0"}, addresses=[])
        advert = Advert(Down(), info, asyncio.ensure_future(told()))  # type: ignore[arg-type]
        for load in (0.1, 0.2):
            await advert.announce_load(load)
        failing = False
        await advert.announce_load(0.3)
        await advert._announced

    asyncio.run(scenario())
    assert caplog.text.count("the load is not announced (network is down)") == 1


def test_a_machine_without_sockets_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where not even a socket can be had, the cloud goes on as well."""

    def none(**options: Any) -> None:
        raise OSError("no sockets")

    monkeypatch.setattr(module, "AsyncZeroconf", none)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(advertise("192.0.2.7", 4711, {})) is None
    assert "no sockets" in caplog.text


@pytest.mark.parametrize("name", ["m" * 300, "größe", "a=b", ""])
def test_no_model_name_keeps_a_cloud_from_starting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names too long for an announcement, or strange, are announced or left out; they do not break anything."""
    monkeypatch.setattr(module, "AsyncZeroconf", Refusing)
    monkeypatch.setattr(Refusing, "error", OSError("no"), raising=False)
    assert asyncio.run(advertise("192.0.2.7", 4711, {name: "ab" * 32})) is None


def test_a_cloud_is_announced_where_devices_look() -> None:
    """Both halves mean the same service."""
    assert ORIGINAL == discovery.SERVICE_TYPE == "_partway._tcp.local."


def test_a_long_host_name_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label of DNS has 63 bytes, and a host's name may have as many by itself."""
    needs_a_network()
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 64)

    async def scenario() -> bool:
        advert = await advertise("0.0.0.0", 65535, {})
        if advert is not None:
            await advert.stop()
        return advert is not None

    assert asyncio.run(scenario())


def test_the_load_is_told_when_it_changes() -> None:
    """Devices hear of another load; of the same one nothing is sent again."""
    needs_a_network()

    async def scenario() -> None:
        advert = await advertise("0.0.0.0", 4712, {"mnist": "ab" * 32}, tls=True)
        if advert is None:
            pytest.skip("the network takes no multicast")
        try:
            sent: list[Any] = []
            real = advert._zeroconf.async_update_service

            async def counted(info: Any) -> Any:
                sent.append(info)
                return await real(info)

            advert._zeroconf.async_update_service = counted  # type: ignore[method-assign]
            for load in (7.25, 7.21, 8.0):
                await advert.announce_load(load)
            assert [info.properties[b"load"] for info in sent] == [b"7.2", b"8.0"]
            assert sent[-1].properties[b"tls"] == b"1"
            assert sent[-1].properties[b"model.mnist"] == b"ab" * 16
            assert sent[-1].parsed_addresses() == reachable_addresses("0.0.0.0")
        finally:
            await advert.stop()

    asyncio.run(scenario())
