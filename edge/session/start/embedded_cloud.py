"""A cloud on this machine, in a process of its own, so that a first run needs no second machine."""

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
"""Time limit of each step of making a plan; the longest one fetches weights over a slow line."""
STOP_S = 5.0


class EmbeddedCloud:
    """A cloud-serve process. It ends when its standard input closes: on exit, on Ctrl-C and after a crash."""

    def __init__(self, models: Path | None, threads: int = 0, extra_options: Sequence[str] = ()) -> None:
        # The log is a file: a full pipe that nobody reads would block the cloud.
        self._address = ""
        self._log = in_memory("cloud-log")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "partway.cloud", *_options(models, threads), *extra_options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # unbuffered: select does not see what Python has read ahead
            stderr=self._log,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},  # it is for other clouds
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def address(self) -> str:
        """HOST:PORT once it serves. Raises PartwayError with the cloud's last message if it cannot start."""
        if not self._address:
            message = self._next_message(START_S)
            if "grpc_port" not in message:
                raise PartwayError("the embedded cloud did not start: it gave no address")
            self._address = f"127.0.0.1:{message['grpc_port']}"
        return self._address

    def wait_prepared(self, say: Callable[[str], None]) -> None:
        """Wait until a zoo model is prepared; ``say`` gets each step. Raises InputError with the cloud's message."""
        try:
            while "preparing" in (message := self._next_message(PREPARE_S)):
                say(str(message["preparing"]))
        except PartwayError as error:  # torch or a network is missing on this machine
            raise InputError(str(error).partition("cloud-serve: ")[2] or str(error)) from error
        self._address = f"127.0.0.1:{message['grpc_port']}"

    def _next_message(self, within_s: float) -> Mapping[str, Any]:
        """The next line that the cloud prints. Raises PartwayError if it ends or takes too long."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return dict(json.loads(line))
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        last_line = lines[-1] if lines else "it printed no message"
        raise PartwayError(f"the embedded cloud did not start: {last_line}")

    def close(self) -> None:
        """End the process and wait for it."""
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
    fixed = ["--grpc-port", "0", "--json", "--no-advertise", "--until-stdin-closes"]
    return [*fixed, "--threads", str(threads), *([] if models is None else ["--models", str(models)])]
