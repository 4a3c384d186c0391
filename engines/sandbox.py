"""Load and run stage files once, in a process of its own: ``python -m partway.engines.sandbox ENGINE FILE…``.

An interpreter written in C++ trusts a model's parts to fit each other and ends the process when they do not. Whoever
starts this process learns from its exit code whether the files are safe to load. A refused file is not loaded again
either: the remains of a half-built interpreter may end a process later.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partway.engines.interface import Engine, Outputs
from partway.engines.registry import engine_for
from partway.errors import InputError, PartwayError
from partway.proto.tensors import Values

LONGEST_S = 300.0
SHAPES = "shapes "
"""Begins a line of output with shapes by value name, as JSON."""


def try_stages(engine: str, files: Sequence[Path], what: str) -> dict[str, tuple[int, ...]]:
    """Run stage files once on zeros in another process, each on what those before made; the shapes of all they make.

    ``what`` is what to call the files together. Raises :class:`InputError` when one is refused or ends the process.
    """
    command = [sys.executable, "-m", "partway.engines.sandbox", engine, *map(str, files)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"{what} does not end within {LONGEST_S:.0f} s; convert it again") from None
    if ended.returncode == InputError.exit_code:
        raise InputError(ended.stderr.decode(errors="replace").strip().splitlines()[-1])
    if ended.returncode:
        printed = ended.stdout.decode(errors="replace").splitlines()
        reached = [line for line in printed if not line.startswith(SHAPES)]
        where = f" in {reached[-1]}" if reached else ""
        raise InputError(
            f"{what} is damaged: it ends the {engine} engine's process{where}; download or convert it again"
        )
    printed = [line for line in ended.stdout.decode(errors="replace").splitlines() if line.startswith(SHAPES)]
    return {name: tuple(shape) for line in printed for name, shape in json.loads(line.removeprefix(SHAPES)).items()}


def run_once(engine: Engine, file: Path, live: Values) -> Outputs:
    """Load one stage and run it on the live values, on zeros where there are none, dynamic dimensions taken as 1."""
    stage = engine.load(file.read_bytes())
    zeros = {
        spec.name: np.zeros([1 if size is None else size for size in spec.shape], spec.dtype) for spec in stage.inputs
    }
    return stage.run({**zeros, **live})


def main(arguments: Sequence[str]) -> int:
    """Try each file in turn, saying which before it is loaded, and the shapes of what it makes after it ran."""
    engine = engine_for(arguments[0])
    live: Outputs = {}
    for file in map(Path, arguments[1:]):
        sys.stdout.write(f"{file.name}\n")
        sys.stdout.flush()
        try:
            outputs = run_once(engine, file, live)
            live.update(outputs)
            sys.stdout.write(f"{SHAPES}{json.dumps({name: array.shape for name, array in outputs.items()})}\n")
        except PartwayError as error:
            sys.stderr.write(f"{error}\n")
            return InputError.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
