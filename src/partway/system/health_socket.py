"""How a process in a container is asked for its health by another one beside it: a socket that is no file.

The name lies in the abstract namespace of Unix sockets, so a read-only root needs no folder for it. It holds the
identity of the process namespace, because containers that share their host's network share that namespace of names too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "PARTWAY_HEALTH"
"""Set to 1 in the images: without it nothing listens."""


def wants_health() -> bool:
    """Whether this process is to answer for its health."""
    return os.environ.get(VARIABLE) == "1"


def health_name(half: str) -> str:
    """The socket's name, without the zero byte before it; ``half`` is edge or cloud."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        space = "0"
    return f"partway-{half}-{space}"


class HealthAction(argparse.Action):
    """``--health``: print what ``const`` says of the process beside this one, and exit: 0 where all is well, else 1."""

    const: Callable[[], tuple[bool, str]]

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: str | Sequence[Any] | None, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """See argparse."""
        well, sentence = self.const()
        print(sentence)  # noqa: T201 - this is a command
        parser.exit(0 if well else 1)
