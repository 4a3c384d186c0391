"""A cloud on this very machine, in a process of its own, for a first run that needs nothing else."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from partway.errors import InputError, PartwayError
from partway.system.credentials import TOKEN_VARIABLE
from partway.system.files import in_memory

START_S = 30.0
PREPARE_S = 900.0
"""The longest step of making a plan: fetching weights over a slow line."""
STOP_S = 5.0


class EmbeddedCloud:
    """Started at once, waited for when needed. It ends when its input closes: on exit, Ctrl-C and crash alike."""

    def __init__(self, models: Path | None, threads: int = 0, also: Sequence[str] = ()) -> None:
        # Its log is a file: a pipe that nobody reads would stop the cloud when it is full.
        self._address = ""
        self._log = in_memory("cloud-log")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "partway.cloud", *_options(models, threads), *also],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # line by line: select sees nothing of what Python has read ahead
            stderr=self._log,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},  # meant for others
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def address(self) -> str:
        """HOST:PORT once it serves. Raises PartwayError with its own words when it could not start."""
        if not self._address:
            said = self._said(START_S)
            if "grpc_port" not in said:
                raise PartwayError("the embedded cloud did not start: it said nothing of where it is")
            self._address = f"127.0.0.1:{said['grpc_port']}"
        return self._address

    def prepared(self, say: Callable[[str], None]) -> None:
        """Wait until a model by name is made; ``say`` is told how far it is. Raises InputError in the cloud's words."""
        try:
            while "preparing" in (said := self._said(PREPARE_S)):
                say(str(said["preparing"]))
        except PartwayError as error:  # what it asks for, torch or a network, is missing on this very machine
            raise InputError(str(error).partition("cloud-serve: ")[2] or str(error)) from error
        self._address = f"127.0.0.1:{said['grpc_port']}"

    def _said(self, within_s: float) -> Mapping[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return dict(json.loads(line))
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        last = words[-1] if words else "it said nothing"
        raise PartwayError(f"the embedded cloud did not start: {last}")

    def close(self) -> None:
        """End it and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> EmbeddedCloud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _options(models: Path | None, threads: int) -> Sequence[str]:
    chosen = [] if models is None else ["--models", str(models)]
    return ["--grpc-port", "0", "--json", "--no-advertise", "--until-stdin-closes", "--threads", str(threads), *chosen]
