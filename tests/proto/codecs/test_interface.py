"""Families of codecs, and the checks that codecs share."""

from typing import Any

import numpy as np
import pytest

from partway.errors import CodecError
from partway.proto.codecs.float16 import Fp16
from partway.proto.codecs.interface import CodecFamily, check_bool, exactly


def family(pattern: str, *names: str, **changed: Any) -> CodecFamily:
    """A family of half precision by another name."""
    return CodecFamily("label", pattern, "help", lambda _: Fp16(), names, **changed)


def test_a_pattern_without_special_characters_is_the_only_name() -> None:
    """Families of one codec need not list it."""
    assert family("webp-lossless").names == ("webp-lossless",)
    assert family("q[1-8]").names == ()
    assert family("q[1-8]", "q5").names == ("q5",)


@pytest.mark.parametrize(("pattern", "names"), [("q[", ()), ("q[1-8]", ("q9",)), ("Q5", ()), ("a" * 33, ())])
def test_a_family_that_cannot_be_is_refused(pattern: str, names: tuple[str, ...]) -> None:
    """No regular expression, a name beside the pattern, a name that frames and JSON do not allow."""
    with pytest.raises(ValueError, match=r"regular expression|does not match"):
        family(pattern, *names)


@pytest.mark.parametrize("name", ["Q5", "q5\n", "q\u0665", "", "q" * 40, "5q"])
def test_a_pattern_cannot_allow_what_names_must_not_hold(name: str) -> None:
    """Capitals, line ends, digits of other scripts and long texts are no codec's name, whatever the pattern says."""
    assert not family("(?s).*").matches(name)
    assert family("(?s).*").matches("q5")


def test_bytes_become_exactly_the_shape_announced() -> None:
    """A view of the bytes, or a CodecError that names both sizes."""
    data = np.arange(6, dtype="<f4").tobytes()
    made = exactly(memoryview(data), np.dtype("<f4"), (2, 3))
    assert made.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.shares_memory(made, np.frombuffer(data, np.uint8))
    with pytest.raises(CodecError, match="takes 28 bytes, 24 came"):
        exactly(memoryview(data), np.dtype("<f4"), (7,))


def test_the_bytes_of_bools_are_zero_or_one() -> None:
    """Any other byte is refused."""
    check_bool(b"\0\1\1")
    check_bool(b"")
    with pytest.raises(CodecError, match="neither 0 nor 1"):
        check_bool(b"\0\2")
