"""Announce a cloud on the local network by zeroconf (DNS-SD): ``_partway._tcp.local.``"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Mapping

import ifaddr
from zeroconf import Error, IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

import partway

log = logging.getLogger("partway.cloud")

SERVICE_TYPE = "_partway._tcp.local."
LOAD_S = 20.0
"""A changed load is announced at most this often."""
_ALL = IPVersion.All
_ANY = ("0.0.0.0", "::", "[::]")  # noqa: S104 - names them, does not bind


class Advert:
    """An announcement; ``stop`` withdraws it. ``announced`` completes when it has been sent."""

    def __init__(self, zeroconf: AsyncZeroconf, info: ServiceInfo, announced: Awaitable[None]) -> None:
        self._zeroconf = zeroconf
        self._info = info
        self._announced = announced
        self._warned = False

    async def announce_load(self, load: float) -> None:
        """Announce the load of this machine: runnable processes per core."""
        others = {key: value for key, value in self._info.properties.items() if key != b"load"}
        properties = {**others, b"load": f"{load:.1f}".encode()}
        if properties != self._info.properties:
            info = self._info
            self._info = ServiceInfo(
                SERVICE_TYPE, info.name, info.port, properties=properties, addresses=info.addresses_by_version(_ALL),
                server=info.server,
            )  # fmt: skip
            try:
                await self._announced
                self._announced = await self._zeroconf.async_update_service(self._info)
            except (OSError, Error) as error:  # a network failure must not end the cloud
                if not self._warned:
                    log.warning("the load is not announced (%s)", error or type(error).__name__)
                self._warned = True
            else:
                self._warned = False

    async def stop(self) -> None:
        """Withdraw the announcement, after it is sent; its later repeats would cancel the goodbye."""
        await self._announced
        goodbye = await self._zeroconf.async_unregister_service(self._info)
        await goodbye
        await self._zeroconf.async_close()


async def advertise(host: str, port: int, models: Mapping[str, str], tls: bool = False) -> Advert | None:
    """Announce ``models`` (name -> plan digest) at ``port``; None for loopback, or if the network refuses."""
    addresses = reachable_addresses(host)
    if not addresses:
        return None
    properties = {f"model.{name}": digest[:32] for name, digest in models.items()}
    properties |= {"version": partway.__version__, "tls": "1" if tls else "0", "load": f"{load_now():.1f}"}
    name = f"{socket.gethostname()[:40]}-{port}.{SERVICE_TYPE}"
    zeroconf = None
    try:
        info = ServiceInfo(SERVICE_TYPE, name, port, properties=properties, parsed_addresses=addresses)
        zeroconf = _open_zeroconf(addresses)
        announced = await zeroconf.async_register_service(info, allow_name_change=True)
    except (OSError, Error, ValueError) as error:
        log.warning("not announced by zeroconf (%s); devices need --cloud HOST:%d", error or type(error).__name__, port)
        if zeroconf is not None:
            await zeroconf.async_close()
        return None
    return Advert(zeroconf, info, announced)


def _open_zeroconf(addresses: list[str]) -> AsyncZeroconf:
    """Open zeroconf on the interfaces of these addresses, with their versions of IP."""
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # it logs a traceback for every unplugged cable
    if not any(":" in address for address in addresses):
        return AsyncZeroconf()
    try:
        return AsyncZeroconf(interfaces=addresses, ip_version=_ALL)
    except OSError:
        return AsyncZeroconf()


def load_now() -> float:
    """Processes that ran or waited to run over the last minute, per core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def reachable_addresses(host: str) -> list[str]:
    """The addresses by which others reach a server on ``host``, IPv4 first; none for loopback.

    A server on ``::`` also listens on IPv4.
    """
    if host in _ANY:
        ips = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
        found = [str(ip.ip) for ip in ips if ip.is_IPv4]
        found += [str(ip.ip[0]) for ip in ips if ip.is_IPv6 and host != "0.0.0.0"]  # noqa: S104 - names it
    else:
        found = _resolved(host.strip("[]"))
    return [address for address in found if not ipaddress.ip_address(address.split("%")[0]).is_loopback]


def _resolved(host: str) -> list[str]:
    try:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []
