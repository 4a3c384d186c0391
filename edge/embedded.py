"""A cloud on this very machine, in a process of its own, for a first run that needs nothing else."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from partway.proto.errors import PartwayError
from partway.proto.files import in_memory
from partway.proto.secrets import TOKEN_VARIABLE

START_S = 30.0
STOP_S = 5.0


class EmbeddedCloud:
    """Started at once, waited for when needed. It ends when its input closes: on exit, Ctrl-C and crash alike."""

    def __init__(self, models: Path | None, threads: int = 0) -> None:
        # Its log is a file: a pipe that nobody reads would stop the cloud when it is full.
        self._log = in_memory("cloud-log")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "partway.cloud", *_options(models, threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip().splitlines()
            raise PartwayError(f"the embedded cloud did not start: {said[-1] if said else 'it said nothing'}")
        return f"127.0.0.1:{json.loads(line)['grpc_port']}"

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
