"""Why a TLS connection does not come about: real handshakes with servers that get one thing wrong each."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.certs import Authority, authority

from partway.edge.transport.access.access import Tls
from partway.edge.transport.access.tls_diagnosis import NO_CERTIFICATE, speaks_tls, tls_fault

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""How a server of HTTP/2 begins."""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(ca: Authority) -> tuple[Path, Path]:
    """A good certificate of a cloud and its key."""
    return ca.issue("cloud", "DNS:localhost,DNS:cloud.example,IP:127.0.0.1")


@contextmanager
def listening(answer: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[str]:
    """A server that does this with every connection; gives its address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    end, _ = server.accept()
                    with end, suppress(OSError):
                        end.settimeout(30.0)
                        answer(end)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{f'[{host}]' if ':' in host else host}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def tls_server(
    pair: tuple[Path, Path], client_ca: Path | None = None, first: bytes = SETTINGS
) -> Callable[[socket.socket], None]:
    """A server with this certificate, which sends ``first`` and waits for the other end to go."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.set_alpn_protocols(["h2"])
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED

    def answer(end: socket.socket) -> None:
        with context.wrap_socket(end, server_side=True) as secure:
            secure.sendall(first)
            secure.recv(1)

    return answer


def hangs_up(end: socket.socket) -> None:
    """A server that breaks every connection off in the midst of the first message."""
    end.recv(1)


def speaks_http(end: socket.socket) -> None:
    """A server that answers in the clear."""
    end.recv(10)
    end.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def trusting(ca: Authority, name: str = "") -> Tls:
    """A device that trusts this CA."""
    return Tls(ca.ca.read_bytes(), name=name)


def port_of_nobody() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("name", ["", "cloud.example"])
def test_a_good_connection_has_no_fault(ca: Authority, pair: tuple[Path, Path], name: str) -> None:
    """The certificate is of the CA and for the address, or for the name that was given instead."""
    with listening(tls_server(pair)) as address:
        assert tls_fault(address, trusting(ca, name)) == ""


def test_a_server_that_says_nothing_at_first_has_no_fault(ca: Authority, pair: tuple[Path, Path]) -> None:
    """A slow server is not taken for one that refuses."""
    with listening(tls_server(pair, first=b"")) as address:
        assert tls_fault(address, trusting(ca)) == ""


def test_nobody_there_is_no_fault_of_tls(ca: Authority) -> None:
    """Who does not listen is told by other means."""
    assert tls_fault(port_of_nobody(), trusting(ca)) == ""
    assert tls_fault("nowhere.invalid:1", trusting(ca)) == ""


def test_a_name_that_is_not_in_the_certificate_is_named(ca: Authority, pair: tuple[Path, Path]) -> None:
    """Of the address or of --tls-name, with the option that mends it."""
    with listening(tls_server(pair)) as address:
        fault = tls_fault(address, trusting(ca, "other.example"))
        assert fault.startswith("its certificate is not for other.example; ")
        assert "--tls-name NAME" in fault
    with listening(tls_server(ca.issue("elsewhere", "DNS:elsewhere.example"))) as address:
        assert tls_fault(address, trusting(ca)).startswith("its certificate is not for 127.0.0.1; ")
        assert tls_fault(address, trusting(ca, "elsewhere.example")) == ""


def test_a_certificate_of_a_stranger_is_not_trusted(ca: Authority, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """The sentence says why and which option gives the right CA."""
    with listening(tls_server(pair)) as address:
        fault = tls_fault(address, trusting(authority(tmp_path, "other")))
    assert fault.startswith("its certificate is not from a CA that this device trusts (")
    assert fault.endswith("); give the CA's own certificate with --tls-ca FILE")


def test_a_certificate_that_has_expired_is_said(ca: Authority) -> None:
    """A cloud does not serve one, but one may expire while it does; here a plain TLS server has it."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("expired", days=-1))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            end, _ = server.accept()
            try:
                context.wrap_socket(end, server_side=True).close()
            except OSError:
                end.close()

        thread = threading.Thread(target=answer)
        thread.start()
        fault = tls_fault(f"127.0.0.1:{server.getsockname()[1]}", trusting(ca))
        thread.join()
    assert fault.startswith("its certificate is not valid now (certificate has expired); renew it")


def test_a_server_that_wants_a_certificate_of_the_device_says_so(
    ca: Authority, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """Without one, the options are named; with one of another CA, the file is; with a good one there is no fault."""
    stranger = authority(tmp_path, "other").issue("stranger")
    with listening(tls_server(pair, ca.ca)) as address:
        assert tls_fault(address, trusting(ca)) == NO_CERTIFICATE
        refused = tls_fault(address, Tls(ca.ca.read_bytes(), *stranger))
        assert tls_fault(address, Tls(ca.ca.read_bytes(), *ca.issue("device", "DNS:device"))) == ""
    assert refused.startswith(f"it does not accept {stranger[0]}")
    assert refused.endswith("; give one of the CA it trusts")


def test_a_server_in_the_clear_is_told_apart(ca: Authority) -> None:
    """One that answers something else, and one that hangs up."""
    with listening(speaks_http) as address:
        assert tls_fault(address, trusting(ca)).startswith("the server does not speak TLS; start cloud-serve with")
    with listening(hangs_up) as address:
        assert "in the TLS handshake" in tls_fault(address, trusting(ca))


def test_every_fault_is_one_sentence_to_act_on(ca: Authority, pair: tuple[Path, Path], tmp_path: Path) -> None:
    """On one line, without our insides, with what to do after a semicolon or a colon."""
    other = trusting(authority(tmp_path, "other"))
    for answer, tls in ((tls_server(pair), other), (speaks_http, other), (hangs_up, other)):
        with listening(answer) as address:
            fault = tls_fault(address, tls)
        assert fault.isprintable()
        assert ";" in fault
        assert "Error" not in fault
        assert "_ssl" not in fault


def test_whether_a_server_speaks_tls(pair: tuple[Path, Path]) -> None:
    """Its certificate need not be trusted for that; what is no TLS, or not there, does not speak it."""
    with listening(tls_server(pair)) as address:
        assert speaks_tls(address)
    for answer in (speaks_http, hangs_up):
        with listening(answer) as address:
            assert not speaks_tls(address)
    assert not speaks_tls(port_of_nobody())


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_is_looked_at_without_its_brackets(ca: Authority) -> None:
    """Brackets belong to the way an address is written, not to the host."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with listening(tls_server(ca.issue("six", "IP:::1")), "::1") as address:
        assert address.startswith("[::1]:")
        assert tls_fault(address, trusting(ca)) == ""
        assert speaks_tls(address)
