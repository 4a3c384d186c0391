"""What people write and read: quantities (``2Mbps``, ``3.1 KB``), and foreign text without its dangers.

Names of files, models and cameras, labels and the cloud's sentences are foreign text: they may hold control characters
that move a terminal's cursor, and addresses may hold passwords.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

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
MOST_LETTERS = 40
"""Of a name in a table or a sentence; converters write names of hundreds."""
GAP = "…"


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


def parse_shape(text: str) -> tuple[int, ...] | None:
    """Sizes as people write them: ``1x3x224x224``, ``1,3,224,224``, ``[1, 3, 224, 224]``, ``1×3×224×224``.

    None for any other text, and for sizes of 0.
    """
    inner = text.strip()
    for opening, closing in ("[]", "()"):
        if inner.startswith(opening) and inner.endswith(closing):
            inner = inner[1:-1].strip().removesuffix(",")
    sizes = [whole_number(part) for part in re.split(r"\s*[x×*,;]\s*|\s+", inner.lower().strip())]
    return tuple(size for size in sizes if size) if all(sizes) else None


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


def shortened(name: str, most: int = MOST_LETTERS) -> str:
    """A name for people, of at most ``most`` letters: both ends of a long one, with ``…`` for what is left out.

    TFLite joins the names of fused operators with ``;``: the first stands for them where it fits (``conv1/Relu;…``).
    """
    if len(name) <= most:
        return name
    first = name.split(";", 1)[0]
    if len(first) < len(name) and len(first) + 2 <= most:
        return f"{first};{GAP}"
    return _ends(name, most)


def shortened_names(names: Iterable[str], most: int = MOST_LETTERS) -> dict[str, str]:
    """The short form of each name; those that would look alike show where they differ too (``head…part…tail``)."""
    remaining = list(dict.fromkeys(names))
    longest = max(map(len, remaining), default=0)
    shown = {name: shortened(name, most) for name in remaining}
    found: dict[str, str] = {}
    while remaining:
        counts = [*shown.values(), *found.values()]
        found |= {name: short for name, short in shown.items() if counts.count(short) == 1}
        remaining = [name for name in remaining if name not in found]
        shown = {name: _told_apart(name, remaining, most) if most <= 2 * longest else name for name in remaining}
        if most > 2 * longest + 8:
            return found | shown
        most += 8
    return found


def _told_apart(name: str, others: Iterable[str], most: int) -> str:
    """Both ends of a name, and between them the part by which it differs from the one most like it."""
    at = max((_equal_letters(name, other) for other in others if other != name), default=0)
    end, middle = most // 4 - 1, most // 2 - 1
    parts = (part.start() for part in re.finditer(r"(?<=[/;])", name[:at]))
    begin = next((start for start in parts if start > at - middle + 3), at)
    if begin <= end or begin + middle >= len(name) - end:
        return _ends(name, most)
    return f"{name[:end]}{GAP}{name[begin : begin + middle]}{GAP}{name[-end:]}"


def _equal_letters(one: str, other: str) -> int:
    """How many letters at the beginning are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _ends(name: str, most: int) -> str:
    end = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - end]}{GAP}{name[len(name) - end :]}"


def is_short_for(short: str, name: str) -> bool:
    """Whether ``short`` is the name itself or a form of it, with ``…`` for letters that are left out."""
    return name == short or (
        GAP in short and re.fullmatch(".+".join(map(re.escape, short.split(GAP))), name, re.DOTALL) is not None
    )
