"""Announce a cloud on the local network by zeroconf (DNS-SD): ``_partway._tcp.local.``"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Mapping

import ifaddr
from zeroconf import Error, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

import partway

log = logging.getLogger("partway.cloud")

SERVICE_TYPE = "_partway._tcp.local."
_ANY = ("0.0.0.0", "::", "[::]")  # noqa: S104 - names them, does not bind


class Advert:
    """An announcement; ``stop`` takes it back."""

    def __init__(self, zeroconf: AsyncZeroconf, info: ServiceInfo) -> None:
        self._zeroconf = zeroconf
        self._info = info

    async def stop(self) -> None:
        """Say goodbye to whoever listens."""
        await self._zeroconf.async_unregister_service(self._info)
        await self._zeroconf.async_close()


async def advertise(host: str, port: int, models: Mapping[str, str]) -> Advert | None:
    """Announce ``models`` (name -> plan digest) at ``port``; None when listening on loopback or the network says no."""
    addresses = reachable_addresses(host)
    if not addresses:
        return None
    properties = {f"model.{name}": digest[:32] for name, digest in models.items()} | {"version": partway.__version__}
    name = f"{socket.gethostname()[:40]}-{port}.{SERVICE_TYPE}"
    zeroconf = None
    try:
        info = ServiceInfo(SERVICE_TYPE, name, port, properties=properties, parsed_addresses=addresses)
        zeroconf = AsyncZeroconf()
        await zeroconf.async_register_service(info, allow_name_change=True)
    except (OSError, Error, ValueError) as error:
        log.warning("not announced by zeroconf (%s); devices need --cloud HOST:%d", error or type(error).__name__, port)
        if zeroconf is not None:
            await zeroconf.async_close()
        return None
    return Advert(zeroconf, info)


def reachable_addresses(host: str) -> list[str]:
    """The addresses others can use when listening on ``host``; none for loopback."""
    if host in _ANY:
        found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    else:
        found = _resolved(host.strip("[]"))
    return [address for address in found if not ipaddress.ip_address(address.split("%")[0]).is_loopback]


def _resolved(host: str) -> list[str]:
    try:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []
