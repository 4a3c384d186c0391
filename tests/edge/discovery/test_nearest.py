"""How near a found cloud is: the quickest of a few probes, and for ever where nobody may or can be asked."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tests.support.raw_services import raw_services

from partway.edge.discovery.nearest import PROBES, round_trip_s
from partway.edge.discovery.zeroconf import FoundCloud
from partway.edge.transport.access.access import Access, Tls
from partway.edge.transport.client import CloudClient
from partway.proto import messages as m

TOKEN = "5f1d7e84c2a9b06d"


def describe(request: bytes, context: Any) -> bytes:
    """A cloud that serves no model."""
    return bytes(m.DescribeResponse(server="partway 1").SerializeToString())


def probe(request: bytes, context: Any) -> bytes:
    """A cloud at once there and back."""
    return bytes(m.ProbeResponse().SerializeToString())


@pytest.fixture
def cloud() -> Iterator[FoundCloud]:
    """A cloud that answers probes."""
    with raw_services(Describe=describe, Probe=probe) as address:
        yield FoundCloud(address, {})


def test_a_clouds_distance_is_measured(start_cloud: Any) -> None:
    """A real cloud takes a real time; nobody takes for ever."""
    assert 0 < round_trip_s(FoundCloud(start_cloud().address, {})) < 60
    assert round_trip_s(FoundCloud("127.0.0.1:1", {}), 0.2) == float("inf")


def test_the_quickest_probe_counts(cloud: FoundCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow probe does not make a cloud far; every probe carries as much as a frame does."""
    seconds, sizes = [0.5, 0.02, 0.3], list[int]()

    def probed(self: CloudClient, payload_bytes: int) -> float:
        sizes.append(payload_bytes)
        return seconds[len(sizes) - 1]

    monkeypatch.setattr(CloudClient, "probe", probed)
    assert round_trip_s(cloud) == 0.02
    assert len(sizes) == PROBES
    assert min(sizes) > 1000


def test_the_distance_is_logged(cloud: FoundCloud, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks for details reads how far each cloud is."""
    caplog.set_level(logging.INFO, "partway.edge")
    round_trip_s(cloud)
    assert f"the cloud at {cloud.address} takes " in caplog.text


@pytest.mark.parametrize(
    ("access", "says"),
    [
        (Access(token=TOKEN), "does not use TLS, so it does not get the token"),
        (Access(tls=Tls(b"roots")), "does not use TLS, which was requested"),
    ],
)
def test_a_cloud_that_may_not_be_trusted_is_not_asked(
    access: Access, says: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloud in the clear gets neither a token nor a probe of a device that wants TLS: it is infinitely far."""
    caplog.set_level(logging.INFO, "partway.edge")
    monkeypatch.setattr(CloudClient, "describe", lambda *_: pytest.fail("it was asked"))
    assert round_trip_s(FoundCloud("192.0.2.7:1", {}), access=access) == math.inf
    assert says in caplog.text
    assert TOKEN not in caplog.text


def test_a_cloud_that_refuses_is_infinitely_far() -> None:
    """A refusal is an answer, but no frame can go there."""

    def refuse(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "it wants a token")
        return b""

    with raw_services(Describe=refuse, Probe=probe) as address:
        assert round_trip_s(FoundCloud(address, {})) == math.inf


def test_a_cloud_that_breaks_off_between_probes_is_infinitely_far() -> None:
    """Half of the probes are no measurement."""
    answered: list[bytes] = []

    def once(request: bytes, context: Any) -> bytes:
        if answered:
            context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled")
        answered.append(request)
        return probe(request, context)

    with raw_services(Describe=describe, Probe=once) as address:
        assert round_trip_s(FoundCloud(address, {}), 0.2) == math.inf
    assert len(answered) == 1
