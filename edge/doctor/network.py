"""Checks of the network: interfaces, the clouds that announce themselves, and whether they answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import partial

import partway
from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.doctor.checks import BAD, GOOD, NOTE, Finding
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.client import CloudClient, Description
from partway.edge.transport.link_probe import probe_link
from partway.errors import InputError, PartwayError, Refused
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import bundled_models, model_folder

BUSY = 1.5


def check_interfaces() -> list[Finding]:
    """Report the addresses by which other machines can reach this one."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        hosts = [str(ip.ip) if ip.is_IPv4 else str(ip.ip[0]) for ip in adapter.ips]
        hosts = [host for host in hosts if not ipaddress.ip_address(host).is_loopback]
        if hosts:
            found.append(Finding("interface", GOOD, f"{adapter.nice_name}: {', '.join(hosts)}"))
    none = Finding("interface", NOTE, "none but loopback", "plug in a cable or join a network, to use a cloud")
    return found or [none]


def check_clouds(
    wait_s: float, addresses: Sequence[str] = (), timeout_s: float = 3.0, access: Access = OPEN
) -> list[Finding]:
    """Query and probe the clouds that announce themselves within ``wait_s`` seconds, and the named ones."""
    with Search(wait_s) as search:
        announced = search.wait()
    announced_addresses = {cloud.address for cloud in announced}
    named = [FoundCloud(address, {}) for address in addresses if address not in announced_addresses]
    if not announced and not named:
        todo = (
            "start `cloud-serve --host 0.0.0.0 --insecure` on another machine, or give --cloud HOST:PORT;"
            " multicast may be blocked"
        )
        return [Finding("zeroconf", NOTE, f"no cloud announced itself within {wait_s:g} s", todo)]
    found = [finding for cloud in announced for finding in _check_found(cloud, timeout_s, access)]
    return [*found, *(finding for cloud in named for finding in check_cloud(cloud, timeout_s, access))]


def _check_found(cloud: FoundCloud, timeout_s: float, access: Access) -> list[Finding]:
    try:
        allowed = access.for_found(cloud.address, cloud.tls)
    except InputError as error:
        return [Finding("cloud", NOTE, f"{_announced(cloud)}: not queried", str(error))]
    return check_cloud(cloud, timeout_s, allowed)


def check_cloud(cloud: FoundCloud, timeout_s: float, access: Access = OPEN) -> list[Finding]:
    """Report what a cloud announced, whether it answers, its link, and which of its models equal those shipped here."""
    try:
        with CloudClient(cloud.address, timeout_s, access=access) as client:
            description = client.describe("")
            link = probe_link(client.probe)
            digests = {name: client.describe(name).digest for name in description.models}
    except Refused as error:
        return [Finding("cloud", BAD, f"{_announced(cloud)}: {error}", "check its log")]
    except PartwayError as error:
        return [Finding("cloud", BAD, f"{_announced(cloud)}: does not answer", str(error))]
    found = [Finding("cloud", GOOD, f"{_announced(cloud)}: {description.server}, {link}")]
    if cloud.load is not None and cloud.load > BUSY:
        found.append(Finding("cloud load", NOTE, f"{cloud.load:.1f} per core", "it is busy; answers will take longer"))
    return [*found, *_versions(description), *(_model(name, digest) for name, digest in sorted(digests.items()))]


def _announced(cloud: FoundCloud) -> str:
    asked = cloud.address.rpartition(":")[0].strip("[]").split("%")[0]
    others = [host for host in cloud.hosts if host.split("%")[0] != asked]
    also = f" (also {', '.join(others)})" if others else ""
    return f"{cloud.address}{also}{', TLS' if cloud.tls else ''}"


def _versions(description: Description) -> list[Finding]:
    theirs = description.server.rpartition(" ")[2]
    if theirs == partway.__version__:
        return []
    todo = "plans and stages are checked by digest; install the same version on both where one refuses the other's"
    return [Finding("cloud version", NOTE, f"{theirs}, here {partway.__version__}", todo)]


def _model(name: str, digest: str) -> Finding:
    text = f"{name}, plan {digest[:12]}"
    if name not in bundled_models():
        return Finding("model", GOOD, f"{text} (edge-run --model {name} fetches it)")
    here = load_plan(model_folder(name)).digest
    if here == digest:
        return Finding("model", GOOD, f"{text}, the same as here")
    return Finding(
        "model", NOTE, f"{text}, differs from the one here ({here[:12]})", "install the same partway on both"
    )


def network_checks(wait_s: float, addresses: Sequence[str], access: Access = OPEN) -> list[Callable[[], list[Finding]]]:
    """The network checks, in order."""
    return [check_interfaces, partial(check_clouds, wait_s, addresses, access=access)]
