"""Who may use a cloud: the token, TLS, and what is asked of whoever listens beyond this machine."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.cloud.conftest import small_models
from tests.support.served import Client, Cloud, request

from partway.cloud.access.authentication import NO_TOKEN, WRONG_TOKEN, AccessPolicy, is_loopback
from partway.cloud.access.certificates import Certificates
from partway.cloud.main import main
from partway.cloud.services.health import SERVICE
from partway.proto import messages as m

TOKEN = "5f1d7e84c2a9b06d"
RIGHT = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cloud]:
    """A cloud with a token."""
    with Cloud(small_models(), access=AccessPolicy(TOKEN)) as cloud:
        yield cloud


def refused(client: Client, method: str, service: str, message: bytes = b"", **options: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        client.call(method, message, service, **options)
    return caught.value.code().name, caught.value.details()


CALLS = [
    (m.INFERENCE_SERVICE, "ModelReady"),
    (m.INFERENCE_SERVICE, "ServerMetadata"),
    (m.INFERENCE_SERVICE, "ModelMetadata"),
    (m.INFERENCE_SERVICE, "ModelInfer"),
    (m.INFERENCE_SERVICE, "ModelStreamInfer"),
    (m.SPLIT_SERVICE, "Describe"),
    (m.SPLIT_SERVICE, "Probe"),
    (m.SPLIT_SERVICE, "Fetch"),
    (m.INFERENCE_SERVICE, "NoSuchMethod"),
    ("grpc.health.v1.Health2", "Check"),
    ("any.Thing", "At_all"),
]


@pytest.mark.parametrize(("service", "method"), CALLS, ids=[method for _, method in CALLS])
def test_every_call_needs_the_token(guarded: Cloud, service: str, method: str) -> None:
    """Without it UNAUTHENTICATED with how to give one; with a wrong one, another sentence."""
    with Client(guarded.port) as client:
        assert refused(client, method, service) == ("UNAUTHENTICATED", NO_TOKEN)
        for wrong in ("Bearer x", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "", "Bearer"):
            sent = (("authorization", wrong),)
            assert refused(client, method, service, metadata=sent) == ("UNAUTHENTICATED", WRONG_TOKEN)
        assert refused(client, method, service, metadata=(*RIGHT, *RIGHT))[0] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("service", "method"),
    [(SERVICE, "Check"), (m.INFERENCE_SERVICE, "ServerLive"), (m.INFERENCE_SERVICE, "ServerReady")],
)
def test_health_needs_none(guarded: Cloud, service: str, method: str) -> None:
    """Whether it lives may be asked by anybody."""
    with Client(guarded.port) as client:
        assert client.call(method, b"", service) == b"\x08\x01"


def test_the_right_token_is_admitted_everywhere(guarded: Cloud) -> None:
    """Unary, streaming out and both ways; the scheme's case is free."""
    frame = request("double", {"x": np.ones((1, 4), np.float32)}).SerializeToString()
    with Client(guarded.port) as client:
        for word in ("Bearer", "bearer"):
            client.call("ModelInfer", frame, metadata=(("authorization", f"{word} {TOKEN}"),))
        assert client.call("Describe", b"", m.SPLIT_SERVICE, metadata=RIGHT)
        stream = client.channel.stream_stream(f"/{m.INFERENCE_SERVICE}/ModelStreamInfer")
        (reply,) = stream(iter([frame]), metadata=RIGHT, timeout=30)
        assert not m.ModelStreamInferResponse.FromString(reply).error_message
        with pytest.raises(grpc.RpcError) as caught:
            list(stream(iter([frame]), timeout=30))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_stranger_is_refused_before_a_body_is_read(guarded: Cloud) -> None:
    """A message over the limit, plain or inflating to that, is never looked at without a token; with it, refused."""
    bomb = bytes(40 << 20)
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with Client(guarded.port, compression=compression) as client:
            assert refused(client, "ModelInfer", m.INFERENCE_SERVICE, bomb) == ("UNAUTHENTICATED", NO_TOKEN)
            code, said = refused(client, "ModelInfer", m.INFERENCE_SERVICE, bomb, metadata=RIGHT)
            assert code == "RESOURCE_EXHAUSTED"
            assert "larger than max" in said


def test_the_token_is_nowhere_to_be_read(guarded: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a log nor in a representation, nor what a stranger sent instead of it."""
    with caplog.at_level(logging.DEBUG), Client(guarded.port) as client:
        refused(client, "ModelReady", m.INFERENCE_SERVICE, metadata=(("authorization", "Bearer my-own-secret"),))
    assert "my-own-secret" not in caplog.text
    assert TOKEN not in caplog.text + repr(AccessPolicy(TOKEN))


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.7", False), ("nowhere.invalid", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host: str, alone: bool) -> None:
    """By address, and of a name by what it resolves to."""
    assert is_loopback(host) is alone


def test_listening_beyond_this_machine_needs_a_token_or_insecure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without either it does not start; with --insecure, or a token in the clear, one line says what that means."""
    monkeypatch.delenv("PARTWAY_TOKEN", raising=False)
    assert main(["--host", "0.0.0.0", "--grpc-port", "0"]) == 2
    said = capfd.readouterr().err
    assert "cloud-serve: --host 0.0.0.0 lets everybody who reaches this machine use it; give a token" in said
    assert "--insecure" in said
    AccessPolicy().check_bind("0.0.0.0", insecure=True)
    assert [r.getMessage() for r in caplog.records] == [
        "insecure: everybody who reaches 0.0.0.0 may use this cloud without a token"
    ]
    caplog.clear()
    AccessPolicy(TOKEN).check_bind("0.0.0.0", insecure=False)
    assert "in the clear; give --tls-cert" in caplog.text
    caplog.clear()
    for host in ("127.0.0.1", "localhost"):
        AccessPolicy().check_bind(host, insecure=False)
    AccessPolicy(TOKEN, Certificates(Path("c"), Path("k"))).check_bind("0.0.0.0", insecure=False)
    assert not caplog.records
