"""TLS: which files can be served, who may connect, and how a renewed certificate is taken."""

import os
import socket
import ssl
import time
from pathlib import Path

import grpc
import pytest
from tests.cloud.conftest import small_models
from tests.support.certs import Authority, authority
from tests.support.served import Cloud

from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.access.certificates import Certificates
from partway.cloud.main import main
from partway.errors import InputError
from partway.proto import messages as m

TOKEN = "5f1d7e84c2a9b06d"
RIGHT = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def serve_with(capfd: pytest.CaptureFixture[str], *options: object) -> str:
    """The sentence that cloud-serve ends with."""
    assert main(["--grpc-port", "0", *map(str, options)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert "Traceback" not in "".join(lines)
    return lines[-1].removeprefix("cloud-serve: ")


def test_what_cannot_be_served_is_said(ca: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Missing, expired, of another key, damaged, halves of a pair: exit code 2 and a sentence with the file."""
    good, key = ca.issue("good")
    expired, expired_key = ca.issue("expired", days=-1)
    _, other_key = ca.issue("other")
    damaged = tmp_path / "damaged.pem"
    damaged.write_text(good.read_text().replace("M", "N"))
    missing = f"none.pem cannot be read (no such file or directory): this process runs as uid {os.geteuid()}"
    for certificate, its_key, words in (
        (good, other_key, "is not the key of certificate"),
        (expired, expired_key, "(certificate has expired); renew it"),
        (tmp_path / "none.pem", key, missing),
        (key, key, "holds no certificate in PEM format"),
        (good, good, "is not a private key in PEM format"),
        (damaged, key, "cannot be used; check both files"),
        (tmp_path, key, "is a folder; give the file"),
    ):  # fmt: skip
        assert words in serve_with(capfd, "--tls-cert", certificate, "--tls-key", its_key)
    assert "needs both --tls-cert FILE and --tls-key FILE" in serve_with(capfd, "--tls-cert", good)
    assert "--tls-client-ca needs TLS" in serve_with(capfd, "--tls-client-ca", ca.ca)


def secure(port: int, ca: Authority, *own: Path) -> grpc.Channel:
    data = [file.read_bytes() for file in own]
    credentials = grpc.ssl_channel_credentials(ca.ca.read_bytes(), *data)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=options)


def test_a_frame_too_large_is_refused_behind_tls_and_token_too(ca: Authority) -> None:
    """The limit is that of the models served, whoever calls."""
    with Cloud(small_models(), access=AccessPolicy(TOKEN, Certificates(*ca.issue("limit")))) as cloud:
        call = secure(cloud.port, ca).unary_unary(f"/{m.INFERENCE_SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(40 << 20), metadata=RIGHT, timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(40 << 20), timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_device_needs_a_certificate_where_the_cloud_asks_for_one(ca: Authority, tmp_path: Path) -> None:
    """With --tls-client-ca, no call gets through without one of that CA, health included."""
    (tmp_path / "other").mkdir()
    stranger = authority(tmp_path / "other").issue("stranger")
    device = ca.issue("device", "DNS:device")
    with Cloud(small_models(), access=AccessPolicy("", Certificates(*ca.issue("mutual"), ca.ca))) as cloud:
        for own, answered in (((), False), (stranger[::-1], False), (device[::-1], True)):
            live = secure(cloud.port, ca, *own).unary_unary(f"/{m.INFERENCE_SERVICE}/ServerLive")
            if answered:
                assert live(b"", timeout=30) == b"\x08\x01"
            else:
                with pytest.raises(grpc.RpcError):
                    live(b"", timeout=30)


def served_serial(port: int, ca: Authority) -> str:
    context = ssl.create_default_context(cafile=str(ca.ca))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as end,
    ):
        said = end.getpeercert()
        assert said
        return str(said["serialNumber"])


def test_a_renewed_certificate_is_served_without_a_restart(ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """From the next connection on; a pair that does not fit, or has expired, is not taken and the log says so."""
    certificate, key = ca.issue("renewed")
    with Cloud(small_models(), access=AccessPolicy("", Certificates(certificate, key))) as cloud:
        first = served_serial(cloud.port, ca)
        assert served_serial(cloud.port, ca) == first

        def replace(with_certificate: Path, with_key: Path) -> None:
            time.sleep(0.01)  # file systems count in steps
            key.write_bytes(with_key.read_bytes())
            certificate.write_bytes(with_certificate.read_bytes())

        replace(*ca.issue("late", days=-1))
        assert served_serial(cloud.port, ca) == first
        assert "the old certificate stays" in caplog.text
        replace(*ca.issue("next"))
        assert served_serial(cloud.port, ca) != first


def test_a_certificate_is_judged_by_its_own_dates(ca: Authority) -> None:
    """An expired one is refused with what is wrong."""
    certificate, key = ca.issue("old", days=-1)
    with pytest.raises(InputError, match=r"old\.pem cannot be served \(certificate has expired\); renew it"):
        Certificates(certificate, key).credentials()
