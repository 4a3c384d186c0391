"""What people write and read: quantities (``2Mbps``, ``3.1 KB``), and foreign text without its dangers.

Names of files, models and cameras, labels and the cloud's sentences are foreign text: they may hold control characters
that move a terminal's cursor, and addresses may hold passwords.
"""

from __future__ import annotations

import math
import re

from partway.errors import InputError

_NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ/]+)\s*", re.IGNORECASE)
_BPS = {"bps": 1.0, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9, "bit/s": 1.0, "kbit/s": 1e3, "mbit/s": 1e6, "gbit/s": 1e9}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
MOST_DIGITS = 19
"""Of a whole number below 2**63."""
HIDDEN = "***"
_ADDRESS = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*)://(\S+)", re.IGNORECASE)
_SETTING = re.compile(r"(?<=[?&;/#])([^=&;/?#]+)=([^&;/?#]+)")
_HARMLESS = re.compile(
    r"(channel|chn?|stream|subtype|resolution|size|width|height|w|h|fps|framerate|compression|quality|rotation|camera"
    r"|format|codec|profile|type|mode|unicast|proto|transport)\d{0,2}",
    re.IGNORECASE,
)
"""Settings of cameras whose values an address may show. A name that is not listed may be a password's."""


def parse_bps(text: str) -> float:
    """Bits per second of ``2Mbps``, ``500 kbps`` or ``1.5Gbit/s``. Raises InputError without a unit."""
    return _parse(text, _BPS, "bandwidth", "2Mbps")


def parse_s(text: str) -> float:
    """Seconds of ``40ms`` or ``1.5s``. Raises InputError without a unit."""
    return _parse(text, _SECONDS, "duration", "40ms", zero=True)


def whole_number(text: str) -> int | None:
    """The number that these decimal digits write; None for any other text, such as ``-1`` or ``²``.

    Python refuses to read more than 4300 digits; no number here needs more than 19.
    """
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def _parse(text: str, units: dict[str, float], what: str, example: str, zero: bool = False) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].lower() not in units:
        known = ", ".join(units)
        raise InputError(f"{what} {text!r} needs a number and a unit, for example {example} (known: {known})")
    value = float(match[1]) * units[match[2].lower()]
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InputError(f"{what} {text!r} must be greater than zero, for example {example}")
    return value


def show_bps(value: float) -> str:
    """Bits per second for people."""
    return _show(value, ((1e9, "Gbps"), (1e6, "Mbps"), (1e3, "kbps"), (1.0, "bps")))


def show_s(value: float) -> str:
    """Seconds for people."""
    return _show(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))) if value else "0 ms"


def show_bytes(value: float) -> str:
    """Bytes for people, in thousands."""
    return _show(value, ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1.0, "B"))) if value else "0 B"


def _show(value: float, units: tuple[tuple[float, str], ...]) -> str:
    scale, name = next(((s, n) for s, n in units if value >= s * 0.9995), units[-1])
    number = value / scale
    digits = 0 if number >= 99.95 or (name == "B" and number == int(number)) else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {name}"


def printable(text: str) -> str:
    """The text on one line: characters that control a terminal or reverse the direction of writing are escaped.

    A byte of a file name that is not UTF-8 becomes ``\\xff``. The result can be printed and encoded as UTF-8.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def encodable(text: str) -> str:
    """The text as JSON may hold it: only characters that have no UTF-8 form (lone surrogates) are escaped."""
    return "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in text) if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python reads such a byte (PEP 383)
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def redacted(text: str) -> str:
    """The text with the user, password and unknown settings of every address in it (``rtsp://…``) hidden.

    Too much is hidden rather than too little: everything up to the last ``@`` counts as the user and password.
    """
    return _ADDRESS.sub(_redacted, text) if "://" in text else text


def _redacted(match: re.Match[str]) -> str:
    _, at, place = match[2].rpartition("@")
    shown = f"{HIDDEN}@{place}" if at else place
    return f"{match[1]}://{_SETTING.sub(_hidden, shown)}"


def _hidden(match: re.Match[str]) -> str:
    return match[0] if _HARMLESS.fullmatch(match[1]) else f"{match[1]}={HIDDEN}"


def shown(text: str) -> str:
    """Any text as a program may print it on one line: without control characters and without credentials."""
    return printable(redacted(text))
