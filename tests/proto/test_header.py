"""The header of a frame: equality, hashes, and its bytes there and back."""

from __future__ import annotations

import pytest

from partway.errors import WireError
from partway.proto.header import (
    MAX_CACHED_HEADER_BYTES,
    Header,
    TensorHead,
    parse_request,
    parse_response,
    request_bytes,
    response_bytes,
)


def test_headers_differ_by_the_type_of_a_parameter() -> None:
    """1, 1.0 and True are equal in Python and three different messages on the wire."""
    headers = [Header("m", (("p", value),)) for value in (1, 1.0, True)]
    assert len(set(headers)) == 3
    for header in headers:
        ((_, value),) = parse_request(request_bytes(header)).parameters
        assert type(value) is type(header.parameters[0][1])


def test_equal_headers_have_equal_hashes() -> None:
    """A header made twice finds what was remembered of the first."""
    one, other = (Header("m", (("p", 1),), (TensorHead("x", "FP32", (1,)),), "1", ("y",)) for _ in range(2))
    assert {one: "known"}[other] == "known"


def test_a_header_comes_back_from_its_bytes() -> None:
    """As a request with the requested outputs, and as a response, which has none."""
    header = Header("m", (("p", 1),), (TensorHead("x", "FP32", (1, 2)),), "1", ("y",))
    assert parse_request(request_bytes(header)) == header
    assert parse_response(response_bytes(header)) == Header("m", header.parameters, header.tensors, "1")


def test_a_large_header_is_parsed_each_time() -> None:
    """Headers of many kilobytes stay out of the cache; small ones are parsed once."""
    small, large = (request_bytes(Header("m" * size)) for size in (10, MAX_CACHED_HEADER_BYTES))
    assert parse_request(small) is parse_request(small)
    assert parse_request(large) is not parse_request(large)
    assert parse_request(large) == parse_request(large)


def test_bytes_that_are_not_a_header_are_refused() -> None:
    """A truncated field, with one sentence."""
    with pytest.raises(WireError, match="header does not parse"):
        parse_request(b"\x0a\x05m")
