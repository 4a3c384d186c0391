"""Quantities as people write and read them."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import InputError
from partway.units import (
    encodable,
    is_short_for,
    parse_bps,
    parse_s,
    parse_shape,
    printable,
    redacted,
    shortened,
    shortened_names,
    show_bps,
    show_bytes,
    show_s,
    shown,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "bps"),
    [
        ("2Mbps", 2e6),
        ("500 kbps", 5e5),
        ("1.5Gbit/s", 1.5e9),
        (" 10 MBPS ", 1e7),
        (".5mbps", 5e5),
        ("1e3bps", 1e3),
        ("1e-3gbps", 1e6),
        ("300bit/s", 300.0),
    ],
)
def test_bandwidths_are_read(text: str, bps: float) -> None:
    """Any case, with or without a space, bits per second in both spellings."""
    assert parse_bps(text) == pytest.approx(bps)


@pytest.mark.parametrize(
    ("text", "seconds"), [("40ms", 0.04), ("1.5s", 1.5), ("250us", 250e-6), ("250 µs", 250e-6), ("0ms", 0.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Seconds, milli- and microseconds; no duration at all is one."""
    assert parse_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "2", "Mbps", "2 MB", "-2Mbps", "0bps", "1e999Mbps", "2Mbps x", "two Mbps", "40ms"]
)
def test_what_is_no_bandwidth_is_refused(text: str) -> None:
    """A number without a unit, a wrong unit, zero and infinity are named with an example."""
    with pytest.raises(InputError, match="2Mbps"):
        parse_bps(text)


@pytest.mark.parametrize("text", ["", "40", "ms", "-1s", "1e999s", "2Mbps", "1m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number without a unit, a wrong unit and infinity are named with an example."""
    with pytest.raises(InputError, match="40ms"):
        parse_s(text)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (show_bps(2e6), "2.00 Mbps"),
        (show_bps(999.9e6), "1.00 Gbps"),
        (show_bps(0.5), "0.50 bps"),
        (show_bps(123.4e3), "123 kbps"),
        (show_s(0.0404), "40.4 ms"),
        (show_s(0), "0 ms"),
        (show_s(2.5e-6), "2.50 µs"),
        (show_s(12), "12.0 s"),
        (show_bytes(0), "0 B"),
        (show_bytes(12), "12 B"),
        (show_bytes(1.5), "1.50 B"),
        (show_bytes(3136), "3.14 KB"),
        (show_bytes(999_999), "1.00 MB"),
        (show_bytes(2.5e12), "2500 GB"),
    ],
)
def test_quantities_are_shown_with_three_digits(shown: str, text: str) -> None:
    """The unit is the one that leaves a number from 1 to 1000, where there is one."""
    assert shown == text


@given(st.floats(1, 1e12))
@settings(deadline=None)
def test_what_is_shown_can_be_typed(bps: float) -> None:
    """A bandwidth shown can be read again, to the digits that were shown."""
    assert parse_bps(show_bps(bps)) == pytest.approx(bps, rel=6e-3)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 19, 10**19 - 1)]
    + [(text, None) for text in ("", "-1", "+1", "1.0", " 1", "1_0", "²", "½", "x", "9" * 5000)],
)
def test_a_whole_number_is_decimal_digits(text: str, number: int | None) -> None:
    """Digits that ``int`` refuses, such as a superscript, are no number."""
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["1x3x96x96", "1X3x96x96", "1,3,96,96", "[1, 3, 96, 96]", "(1,3,96,96)", " 1 x 3 x 96 x 96 ", "1×3×96×96"]
)
def test_a_shape_is_understood_as_people_write_it(text: str) -> None:
    """With x, commas, brackets, spaces."""
    assert parse_shape(text) == (1, 3, 96, 96)


@pytest.mark.parametrize("text", ["", "x", "1x", "1x0", "1x-3", "1,,3", "[1", "1xa", "1.5x2", "1x" + "9" * 5000])
def test_what_is_no_shape_is_none(text: str) -> None:
    """Sizes are whole and above zero."""
    assert parse_shape(text) is None


def test_a_vector_has_one_size() -> None:
    """With Python's comma of a tuple, too."""
    assert parse_shape("16") == parse_shape("(16,)") == (16,)


def test_a_long_name_keeps_both_ends() -> None:
    """Short ones stay; of fused operators the first stands for them."""
    assert shortened("conv1") == "conv1"
    long = "model/" + "block/" * 50 + "relu_out"
    assert len(shortened(long)) == 40
    assert shortened(long).startswith("model/block/") and shortened(long).endswith("relu_out")
    assert shortened("conv1/Relu;conv1/BiasAdd;conv1/Conv2D;conv1/bias") == "conv1/Relu;…"


@given(st.lists(st.text("ab;/", min_size=1, max_size=90), max_size=12, unique=True))
@settings(deadline=None)
def test_short_names_differ_and_lead_back(names: list[str]) -> None:
    """No two of a table look alike, and each is a form of its own name."""
    short = shortened_names(names, 12)
    assert set(short) == set(names)
    assert len(set(short.values())) == len(names)
    assert all(is_short_for(shown, name) for name, shown in short.items())


def test_a_short_name_is_of_what_it_was_made_of_only() -> None:
    """Both ends must fit, without overlap."""
    assert is_short_for("ab…yz", "abcdxyz")
    assert not is_short_for("ab…yz", "abcdxy")
    assert not is_short_for("abc…bcd", "abcd")
    assert not is_short_for("ab", "abc")
    assert is_short_for("ab…m…yz", "ab--m--yz")
    assert not is_short_for("ab…n…yz", "ab--m--yz")


def test_long_names_that_differ_in_the_middle_stay_short() -> None:
    """They show the part that differs."""
    names = ["block/" * 40 + f"conv{k}/" + "block/" * 40 + "relu" for k in range(12)]
    names += [f"conv/Relu;bn{k};" + "x" * 300 for k in range(3)]
    short = shortened_names(names)
    assert len(set(short.values())) == len(names)
    assert max(map(len, short.values())) <= 72


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("café 日本 😀.png", "café 日本 😀.png"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m\x07\x9b2J\x7f", r"\x1b[31m\x07\x9b2J\x7f"),
        ("gnp.\u202e\u2066\u200b\u2028", r"gnp.\u202e\u2066\u200b\u2028"),
        (os.fsdecode(b"bad\xff"), r"bad\xff"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
    ],
)
def test_names_are_printed_without_what_controls_a_terminal(text: str, expected: str) -> None:
    """Control characters, marks of direction, invisible ones and bytes that are not UTF-8 are escaped."""
    assert printable(text) == expected


@given(st.text(st.characters(exclude_categories=[]) | st.characters(categories=["Cs", "Cc", "Cf"])))
def test_any_text_becomes_printable_and_encodable(text: str) -> None:
    """Every text can be printed on one line, and every JSON holds text that has a UTF-8 form."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    printable(text).encode()
    assert encodable(text).encode().decode() == encodable(text)
    assert text != encodable(text) or printable(text) == printable(encodable(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://u:p@h:554/a?channel=1&subtype=0", "rtsp://***@h:554/a?channel=1&subtype=0"),
        ("RTSP://u:p@h", "RTSP://***@h"),
        ("http://h/x?user=a&pwd=b&w=640", "http://h/x?user=***&pwd=***&w=640"),
        ("rtsp://h/user=a&password=&stream=0.sdp", "rtsp://h/user=***&password=&stream=0.sdp"),
        ("camera rtsp://u:p@h/x cannot be reached", "camera rtsp://***@h/x cannot be reached"),
        ("rtsp://u:p@q/r?s@h/x", "rtsp://***@h/x"),
        ("two http://a:b@c and http://d:e@f.", "two http://***@c and http://***@f."),
        ("me@home, a:b@c", "me@home, a:b@c"),
        ("http://h:80/path", "http://h:80/path"),
    ],
)
def test_addresses_show_no_credentials(text: str, expected: str) -> None:
    """User, password and every setting that is not known to be harmless are hidden, wherever the address stands."""
    assert redacted(text) == expected
    assert shown(text) == expected
