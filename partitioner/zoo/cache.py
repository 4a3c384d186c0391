"""The cached plan of a zoo model. Creating one takes minutes and torch, so a separate process does it.

The caller (a device, a server) never imports torch: it finds the plan, or starts ``partway.partitioner.zoo.export``
and passes on its progress.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import partway
from partway.errors import InputError
from partway.partitioner.plan.plan_file import PLAN_FILE
from partway.partitioner.zoo.bundled import bundled_folder, bundled_models, known_models, unknown_model
from partway.partitioner.zoo.catalogue import ZOO
from partway.system.cache_dir import default_cache

Say = Callable[[str], None]


def is_zoo_model(name: str) -> bool:
    """Whether a model of this name can be made (shipped models are not)."""
    return name in ZOO


def plan_name(name: str, random: bool) -> str:
    """The plan's name; random weights get a different one, so that nobody takes them for the trained model."""
    return f"{name}-random" if random else name


def prepared_folder(name: str, random: bool, cache: Path | None) -> Path | None:
    """The folder of the plan, None when it was not made yet. ``cache``: a folder, None for the user's own."""
    base = cache or default_cache()
    if base is None:
        return None
    folder = base / "zoo" / f"{plan_name(name, random)}-{partway.__version__}"
    return folder if (folder / PLAN_FILE).is_file() else None


def prepare(name: str, random: bool, cache: Path | None, say: Say) -> Path:
    """The folder of a model's plan, shipped or made now; ``say`` gets progress messages.

    Raises InputError: an unknown name, torch missing, weights that cannot be fetched, a cache that cannot be written.
    """
    if name in bundled_models():
        return bundled_folder() / name
    if name not in ZOO:
        raise unknown_model(name, known_models())
    found = prepared_folder(name, random, cache)
    if found is not None:
        return found
    base = cache or default_cache() or Path(tempfile.mkdtemp(prefix="partway-"))
    options = ["--random-weights"] if random else []
    command = [sys.executable, "-m", "partway.partitioner.zoo.export", name, "--cache", str(base), *options]
    _run(command, say)
    prepared = prepared_folder(name, random, base)
    if prepared is None:
        raise InputError(f"the plan of {name} was made, but is not in {base}; give another folder with --cache")
    return prepared


def _run(command: list[str], say: Say) -> None:
    """Run the command and pass on its lines; its last line becomes the error's message."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                say(line.strip())
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if code:
        raise InputError(lines[-1] if lines else f"making the plan ended with code {code} and no message")
