"""Health checks between processes of one container, over a socket that is not a file.

The name lies in the abstract namespace of Unix sockets, so it works on a read-only root. It contains the identity of
the process namespace, because containers that share their host's network also share the abstract namespace.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "PARTWAY_HEALTH"
"""The images set it to 1; without it, no process listens."""


def wants_health() -> bool:
    """Whether this process should answer health checks."""
    return os.environ.get(VARIABLE) == "1"


def health_name(half: str) -> str:
    """The socket's name, without the zero byte before it; ``half`` is edge or cloud."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        space = "0"
    return f"partway-{half}-{space}"


class HealthAction(argparse.Action):
    """``--health``: print the sentence of ``const`` on the other process, and exit: 0 if it is healthy, else 1."""

    const: Callable[[], tuple[bool, str]]

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: str | Sequence[Any] | None, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """See argparse."""
        healthy, sentence = self.const()
        print(sentence)  # noqa: T201 - this is a command
        parser.exit(0 if healthy else 1)
