"""TLS of a device: files are checked before anything is sent, and the credentials are those of the files."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.support.certs import Authority, authority

from partway.edge.transport.access.tls import Tls, checked, system_roots
from partway.errors import InputError

DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(ca: Authority) -> Iterator[int]:
    """The port of a gRPC server that serves nothing and wants a certificate of this CA."""
    certificate, key = ca.issue("server")
    roots = ca.ca.read_bytes()
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], roots, require_client_auth=True
    )
    with ThreadPoolExecutor(1) as pool:
        made = grpc.server(pool)
        port = made.add_secure_port("127.0.0.1:0", credentials)
        made.start()
        yield port
        made.stop(None).wait()


def connects(tls: Tls, port: int) -> bool:
    """Whether a connection with these credentials becomes ready, as gRPC itself says."""
    states: queue.Queue[grpc.ChannelConnectivity] = queue.Queue()
    with grpc.secure_channel(f"localhost:{port}", tls.credentials()) as channel:
        channel.subscribe(states.put, try_to_connect=True)
        while (state := states.get(timeout=60)) not in (
            grpc.ChannelConnectivity.READY,
            grpc.ChannelConnectivity.TRANSIENT_FAILURE,
        ):
            pass
    return state is grpc.ChannelConnectivity.READY


def test_the_credentials_are_those_of_the_files(server: int, ca: Authority, tmp_path: Path) -> None:
    """The CA must have signed the server's certificate, and this device must show one of its own."""
    roots, pair = ca.ca.read_bytes(), ca.issue("device", "DNS:device")
    assert connects(checked(Tls(roots, *pair)), server)
    assert not connects(checked(Tls(authority(tmp_path, "other").ca.read_bytes(), *pair)), server)


def test_files_that_belong_together_pass_the_check(ca: Authority) -> None:
    """The same object comes back, with or without a certificate of the device's own."""
    for tls in (Tls(), Tls(ca.ca.read_bytes(), name="cloud"), Tls(ca.ca.read_bytes(), *ca.issue("own"))):
        assert checked(tls) is tls


@pytest.mark.parametrize("roots", [DAMAGED, b"no certificate at all", "Zertifikat für".encode()])
def test_a_damaged_ca_is_refused(roots: bytes) -> None:
    """With the option that gave it, and no word of OpenSSL's."""
    with pytest.raises(InputError, match=r"^the CA file holds a damaged certificate; check --tls-ca$"):
        checked(Tls(roots))


def test_the_key_of_another_certificate_is_refused(ca: Authority) -> None:
    """Before anything is sent; both files are named."""
    certificate, (_, key) = ca.issue("mine")[0], ca.issue("yours")
    with pytest.raises(InputError, match=rf"TLS key {key} is not the key of certificate {certificate}"):
        checked(Tls(None, certificate, key))


def test_a_file_that_is_gone_is_refused(ca: Authority, tmp_path: Path) -> None:
    """Named, in the check and whenever a connection is made later."""
    certificate, key = ca.issue("device")
    for tls in (Tls(None, certificate, tmp_path / "gone.key"), Tls(None, tmp_path / "gone.pem", key)):
        with pytest.raises(InputError, match=r"gone\.(key|pem)"):
            checked(tls)
        with pytest.raises(InputError, match=r"gone\.(key|pem)"):
            tls.credentials()


def test_certificates_are_read_anew_for_each_connection(ca: Authority, tmp_path: Path) -> None:
    """A renewed certificate is used without a restart; one that was taken away is noticed."""
    certificate, key = (path.rename(tmp_path / path.name) for path in ca.issue("renewed"))
    tls = checked(Tls(None, certificate, key))
    certificate.unlink()
    with pytest.raises(InputError, match="TLS certificate"):
        tls.credentials()


def test_the_systems_cas_are_found_by_openssls_rules(
    ca: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SSL_CERT_FILE`` is honoured; None where there is no such file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.ca))
    assert system_roots() == ca.ca.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone"))
    assert system_roots() is None
