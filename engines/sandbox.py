"""Load and run stage files once, in a process of its own: ``python -m partway.engines.sandbox ENGINE FILE…``.

An interpreter written in C++ trusts a model's parts to fit each other and ends the process when they do not. Whoever
starts this process learns from its exit code whether the files are safe to load. A refused file is not loaded again
either: the remains of a half-built interpreter may end a process later.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partway.engines.interface import Engine
from partway.engines.registry import engine_for
from partway.errors import InputError, PartwayError

LONGEST_S = 300.0


def try_stages(engine: str, files: Sequence[Path], what: str) -> None:
    """Run stage files once on zeros in another process. Raises :class:`InputError` when one is refused or ends it.

    ``what`` is what to call the files together.
    """
    command = [sys.executable, "-m", "partway.engines.sandbox", engine, *map(str, files)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"{what} does not end within {LONGEST_S:.0f} s; convert it again") from None
    if ended.returncode == InputError.exit_code:
        raise InputError(ended.stderr.decode(errors="replace").strip().splitlines()[-1])
    if ended.returncode:
        reached = ended.stdout.decode(errors="replace").split()
        where = f" in {reached[-1]}" if reached else ""
        raise InputError(
            f"{what} is damaged: it ends the {engine} engine's process{where}; download or convert it again"
        )


def run_once(engine: Engine, file: Path) -> None:
    """Load one stage and run it on zeros, dynamic dimensions taken as 1."""
    stage = engine.load(file.read_bytes())
    shapes = {spec.name: tuple(1 if size is None else size for size in spec.shape) for spec in stage.inputs}
    stage.run({spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in stage.inputs})


def main(arguments: Sequence[str]) -> int:
    """Try each file in turn, saying which before it is loaded."""
    engine = engine_for(arguments[0])
    for file in map(Path, arguments[1:]):
        sys.stdout.write(f"{file.name}\n")
        sys.stdout.flush()
        try:
            run_once(engine, file)
        except PartwayError as error:
            sys.stderr.write(f"{error}\n")
            return InputError.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
