"""Start, drain and stop."""

import socket
from time import monotonic, sleep

import grpc
import numpy as np
import pytest
from tests.cloud.conftest import Gate, small_models
from tests.support.served import PATIENCE_S, Client, Cloud, outputs, request

from partway.cloud import server
from partway.cloud.server import server_options
from partway.errors import InputError
from partway.proto import messages as m

X = np.ones((1, 4), np.float32)


def has_ipv6() -> bool:
    """Whether this machine has a loopback of the newer kind."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_server_takes_a_free_port_and_tells_it() -> None:
    """Two servers that ask for port 0 get two ports."""
    with Cloud(small_models()) as one, Cloud(small_models()) as other:
        assert one.port != other.port
        for cloud in (one, other):
            with Client(cloud.port) as client:
                assert outputs(client.infer(request("double", {"x": X})))["y"].tolist() == [[2] * 4]


def test_a_port_is_not_shared() -> None:
    """The second server on a port is told, in place of getting half of the first one's devices."""
    with (
        Cloud(small_models()) as cloud,
        pytest.raises(InputError, match=f"port {cloud.port} on 127.0.0.1 is taken"),
        Cloud(small_models(), port=cloud.port),
    ):
        pass


def test_an_address_of_another_machine_is_refused() -> None:
    """An address that is not ours cannot be listened on."""
    with pytest.raises(InputError, match="taken or not allowed"):
        Cloud(small_models(), host="198.51.100.1")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_needs_no_brackets(host: str) -> None:
    """Both ways to write it are understood."""
    with Cloud(small_models(), host=host) as cloud, Client(cloud.port, "[::1]") as client:
        assert outputs(client.infer(request("double", {"x": X})))["y"].tolist() == [[2] * 4]


def test_messages_are_bounded_and_ports_are_not_shared() -> None:
    """The two options that a server must not run without."""
    options = dict(server_options(12345))
    assert options["grpc.max_receive_message_length"] == 12345
    assert options["grpc.so_reuseport"] == 0


def test_frames_in_flight_are_answered_before_a_server_ends(
    gated: Cloud, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop while frames wait, the server is not ready any more and answers them all."""
    monkeypatch.setattr(server, "DRAIN_S", PATIENCE_S)
    with Client(gated.port) as client:
        stream = client.open()
        for i in range(5):
            stream.send(request("held", {"x": X * i}, str(i)).SerializeToString())
        assert gate.reached.acquire(timeout=PATIENCE_S)
        stream.half_close()
        client.until(lambda: gated.stats.queued == 4)
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE_S)
        assert next(watch) == b"\x08\x01"
        stopping = gated.stopping()
        assert next(watch) == b"\x08\x02"
        watch.cancel()
        gate.opened.set()
        replies = [m.ModelStreamInferResponse.FromString(reply) for reply in stream.call]
        stopping.result(PATIENCE_S)
    assert [outputs(reply.infer_response)["y"][0, 0] for reply in replies] == [0, 2, 4, 6, 8]


def test_a_server_ends_though_a_device_stays(gated: Cloud, gate: Gate) -> None:
    """After the time to drain, streams are ended and what still waits is dropped; nothing is computed any more."""
    with Client(gated.port) as client:
        stream = client.open()
        for i in range(20):
            stream.send(request("held", {"x": X * i}, str(i)).SerializeToString())
        assert gate.reached.acquire(timeout=PATIENCE_S)
        client.until(lambda: gated.stats.queued == 19)
        stopping = gated.stopping()
        with pytest.raises(grpc.RpcError) as caught:
            stream.read()
        assert caught.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        begun_s = monotonic()
        while gated.stats.cancelled < 19:
            assert monotonic() - begun_s < PATIENCE_S
            sleep(0.001)
        gate.opened.set()
        stopping.result(PATIENCE_S)
        stream.half_close()
    assert gate.runs == 1
