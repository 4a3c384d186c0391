"""Addresses of cameras: their parts, and that no message and no label shows a password."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.edge.sources.cameras.address import camera_address, check_reachable
from partway.edge.sources.cameras.reopening import Unreachable
from partway.errors import InputError


def test_user_and_password_are_taken_out_of_the_address() -> None:
    """They may be percent-encoded; what is shown has neither."""
    address = camera_address("http://adm%40in:p%2Fw@cam.local:8080/x?channel=1&pwd=secret")
    assert (address.user, address.password, address.host, address.port) == ("adm@in", "p/w", "cam.local", 8080)
    assert address.url == "http://cam.local:8080/x?channel=1&pwd=secret"
    assert address.label == "http://***@cam.local:8080/x?channel=1&pwd=***"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("given_text", "port"),
    [("rtsp://h/a", 554), ("https://h/", 443), ("http://[::1]:81/", 81), ("udp://0.0.0.0:5000", 0)],
)
def test_ports_follow_the_scheme(given_text: str, port: int) -> None:
    """Nothing listens at a udp address, so it has no port to connect to."""
    assert camera_address(given_text).port == port


@pytest.mark.parametrize(
    "given_text",
    [
        "rtsp://user:sec ret@h/x",
        "rtsp://user:sec\nret@h/x",
        "rtsp://user:sec/ret@h/x",
        "rtsp://user:sec?ret@h/x",
        "rtsp://user:secret@h:port/x",
        "rtsp://user:secret@[::1/x",
        "rtsp://user:secret@/x",
        "rtsp://user:12/34secret@h/x",
    ],
)
def test_an_address_that_is_not_valid_is_a_sentence_without_its_password(given_text: str) -> None:
    """Passwords with unescaped characters are a common mistake; the part that parses as a host must not leak either."""
    with pytest.raises(InputError) as caught:
        camera_address(given_text)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=12), st.booleans())
def test_no_password_leaks(password: str, in_query: bool) -> None:
    """Whatever characters a password has, raw in its place, it is in no label and no sentence."""
    secret = f"Q7{password}7Q"
    text = f"rtsp://h/x?pass={secret}" if in_query else f"rtsp://user:{secret}@h/x"
    try:
        shown = camera_address(text).label
    except InputError as error:
        shown = str(error)
    assert secret not in shown
    assert in_query or "Q7" not in shown


def test_an_address_where_nothing_listens_is_unreachable() -> None:
    """The reason is the system's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="cannot be reached"):
            check_reachable(camera_address(f"rtsp://127.0.0.1:{port}/x"))
