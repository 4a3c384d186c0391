"""Parses the address of a cloud."""

from __future__ import annotations

import re

from partway.errors import InputError

DEFAULT_PORT = 8001
"""The default port of cloud-serve."""
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:/@\[\]]+)(?::([0-9]{1,5}))?")


def parse_address(text: str) -> str:
    """HOST:PORT as gRPC takes it; HOST alone means port 8001. Raises InputError on anything else."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2] or DEFAULT_PORT) < 65536:
        raise InputError(
            f"cloud address {text!r} is not HOST:PORT, for example --cloud 192.0.2.7:8001 or [2001:db8::7]:8001"
        )
    return f"{match[1]}:{int(match[2] or DEFAULT_PORT)}"
