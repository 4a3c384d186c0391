"""The address of a cloud as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.transport.address import parse_address
from partway.errors import InputError


@pytest.mark.parametrize("text", ["127.0.0.1:8001", "my-cloud.local:1", "[2001:db8::7]:65535", "[fe80::1%eth0]:80"])
def test_addresses_are_a_host_and_a_port(text: str) -> None:
    """Names, IPv4 and bracketed IPv6 addresses pass as they are."""
    assert parse_address(text) == text


@pytest.mark.parametrize(
    "text",
    ["", ":8001", "host:", "host:port", "host:0", "host:65536", "http://host:8001", "a b:1", "::1:8001",
     "host:\u00b2", "host:8001 ", "user@host:1", "host:-1", "unix:/tmp/socket"],
)  # fmt: skip
def test_anything_else_is_no_address(text: str) -> None:
    """A malformed address is refused with an example of a good one."""
    with pytest.raises(InputError, match=r"is not HOST:PORT, for example --cloud 192\.0\.2\.7:8001"):
        parse_address(text)


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    """No text ends in another error."""
    try:
        host, _, port = parse_address(text).rpartition(":")
        assert host
        assert 0 < int(port) < 65536
    except InputError:
        pass


@given(st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True), st.integers(1, 65535), st.integers(0, 5))
def test_a_port_is_a_number_whatever_zeros_it_begins_with(host: str, port: int, digits: int) -> None:
    """The same cloud has one address, so that two ways of writing it are not taken for two clouds."""
    assert parse_address(f"{host}:{port:0{digits}d}") == f"{host}:{port}"


@given(st.ip_addresses(v=6), st.integers(1, 65535))
def test_every_ipv6_address_stands_in_brackets(host: object, port: int) -> None:
    """Brackets tell where the host ends; without them it is refused."""
    assert parse_address(f"[{host}]:{port}") == f"[{host}]:{port}"
    with pytest.raises(InputError):
        parse_address(f"{host}:{port}")


def test_an_address_that_is_parsed_may_be_parsed_again() -> None:
    """What comes out is an address."""
    for text in ("host:0001", "[::1]:00080", "192.0.2.7:8001"):
        assert parse_address(parse_address(text)) == parse_address(text)


@pytest.mark.parametrize("text", ["host", "10.0.0.7", "[2001:db8::7]"])
def test_without_a_port_it_is_8001(text: str) -> None:
    """The port that cloud-serve listens on unless told otherwise."""
    assert parse_address(text) == f"{text}:8001"
