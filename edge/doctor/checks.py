"""Checks of this machine, with advice on what is wrong.

Each check is a function that returns findings. It never raises an error for the fault that it checks.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import partway
from partway.engines.registry import engine_entry, every_engine
from partway.errors import InputError, PartwayError
from partway.partitioner.plan.inputs import random_frame
from partway.partitioner.profile.measure import machine_name
from partway.system.cache_dir import default_cache
from partway.units import show_bytes, show_s

GOOD, NOTE, BAD = "good", "note", "bad"
HOT_C = 80.0
"""A Raspberry Pi begins to slow down at this temperature; other boards do at similar ones."""
LEAST_FREE_BYTES = 200_000_000
IMPORT_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: ``state`` is ``good``, ``note`` or ``bad``; ``todo`` is one line of advice, or empty."""

    check: str
    state: str
    text: str
    todo: str = ""

    def to_json(self) -> dict[str, str]:
        """The finding as ``--json`` writes it."""
        return asdict(self)


def check_machine() -> list[Finding]:
    """Report processor, usable cores, load and Python."""
    usable, cores = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    load = os.getloadavg()[0]
    text = f"{machine_name()}, {usable} of {cores} cores, load {load:.1f}, Python {platform.python_version()}"
    text += f", partway {partway.__version__}"
    if load > 1.5 * usable:
        return [Finding("machine", NOTE, text, "something else keeps it busy; measured times will be too long")]
    return [Finding("machine", GOOD, text)]


def check_heat(root: Path = Path("/sys")) -> list[Finding]:
    """Report the temperature, and whether the firmware slows the processor down (Raspberry Pi), if readable."""
    zones = [_number(path) for path in root.glob("class/thermal/thermal_zone*/temp")]
    degrees = [value / 1000 for value in zones if value is not None and 0 < value < 200_000]
    if not degrees:
        return [Finding("heat", GOOD, "no thermometer can be read")]
    text = f"{max(degrees):.0f} °C"
    firmware = root / "devices/platform/soc/soc:firmware/get_throttled"
    flags = int(_text(firmware) or "0", 16)
    if flags & 0b0001:
        return [Finding("heat", BAD, f"{text}, under-voltage", "give it a stronger power supply or a shorter cable")]
    if flags & 0b0110 or max(degrees) >= HOT_C:
        return [
            Finding(
                "heat", NOTE, f"{text}, slowed down", "cool the device; times measured now are those of a hot device"
            )
        ]
    return [Finding("heat", GOOD, text)]


def check_numpy() -> list[Finding]:
    """Report NumPy, and packages that were built for another major version of it."""
    import numpy as np

    text = f"numpy {np.__version__}"
    old = _installed("tflite-runtime")
    if old is not None and not np.__version__.startswith("1.") and tuple(map(int, old.split(".")[:2])) < (2, 15):
        todo = "pip install 'numpy<2', or ai-edge-litert instead of tflite-runtime"
        return [Finding("numpy", BAD, f"{text} with tflite-runtime {old}, which was built for numpy 1", todo)]
    return [Finding("numpy", GOOD, text)]


def check_engines() -> list[Finding]:
    """Which engines are installed, and whether they load.

    Engines on the same packages are checked once. One that runs another's files may be missing without a note.
    """
    found, seen = [], set[tuple[str, ...]]()
    for name in every_engine():
        try:
            entry = engine_entry(name)
        except InputError as error:
            found.append(Finding(f"engine {name}", BAD, "its package is damaged", str(error)))
            continue
        if not entry.packages or entry.packages in seen:
            continue
        seen.add(entry.packages)
        versions = {package: number for package in entry.packages if (number := _installed(package)) is not None}
        if versions or entry.files == name:
            found.append(_check_engine(name, entry.packages[0], versions))
    return found


def _check_engine(name: str, package: str, versions: Mapping[str, str]) -> Finding:
    """One engine; it loads in a process of its own, since a broken one may take its process with it."""
    if not versions:
        return Finding(f"engine {name}", NOTE, "not installed", f"pip install {package}, for plans of {name}")
    label = ", ".join(f"{installed} {number}" for installed, number in versions.items())
    if (why := _broken(name)) is None:
        return Finding(f"engine {name}", GOOD, label)
    return Finding(f"engine {name}", BAD, f"{label} does not load: {why}", f"reinstall {next(iter(versions))}")


def _broken(engine: str) -> str | None:
    """Why an engine does not load; None if it does."""
    code = f"from partway.engines.registry import engine_for; engine_for({engine!r})"
    try:
        process = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:160]
    if process.returncode == 0:
        return None
    lines = process.stderr.strip().splitlines()
    return lines[-1][:160] if lines else f"it ended with {process.returncode}"


def check_inference(engine: str = "auto") -> list[Finding]:
    """Report whether this device can answer alone, by one run of the shipped digit model."""
    import numpy as np

    from partway.partitioner.plan.chain import choose_engine, load_folder
    from partway.partitioner.plan.plan_file import load_plan
    from partway.partitioner.zoo import model_folder

    try:
        folder = model_folder("mnist")
        plan = load_plan(folder)
        chain = load_folder(folder, plan, choose_engine(plan, engine, 0))
        rng = np.random.default_rng(0)
        _, seconds = chain.timed(random_frame(plan, rng))
    except (PartwayError, ImportError) as error:
        return [Finding("inference", BAD, f"the shipped model does not run: {error}", "see the engines above")]
    return [Finding("inference", GOOD, f"the shipped model runs on this device ({show_s(sum(seconds))}, cold)")]


def check_cache(folder: Path | None = None) -> list[Finding]:
    """Report whether the cache can store stages from a cloud, and how much room it has."""
    folder = folder or default_cache()
    if folder is None:
        return [
            Finding(
                "cache", NOTE, "this user has no home folder", "give a folder with --cache, or stages are not stored"
            )
        ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        todo = "give another folder with --cache, or stages are fetched again at every start"
        return [Finding("cache", NOTE, f"{folder} cannot be written ({error.strerror})", todo)]
    if free < LEAST_FREE_BYTES:
        return [Finding("cache", NOTE, f"{folder} has {show_bytes(free)} left", "make room, or models will not fit")]
    return [Finding("cache", GOOD, f"{folder}, {show_bytes(free)} free")]


def check_time() -> list[Finding]:
    """Report whether the clock is plausible: checks of certificates depend on it. Durations use another clock."""
    now = time.gmtime()
    text = time.strftime("%Y-%m-%d %H:%M UTC", now)
    installed = time.gmtime(Path(str(partway.__file__)).stat().st_mtime)
    if now < installed:
        todo = "set the clock (timedatectl set-ntp true): with this time, certificates look not yet valid"
        return [Finding("time", BAD, f"{text}, before this package was installed", todo)]
    return [Finding("time", GOOD, text)]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


MACHINE_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_machine,
    check_heat,
    check_time,
    check_numpy,
    check_engines,
    check_inference,
)


def ready(findings: list[Finding]) -> bool:
    """Whether an inference could run: on this device, or in a cloud that answered."""
    return any(f.state == GOOD and f.check in ("inference", "cloud") for f in findings)


def to_json(findings: list[Finding]) -> dict[str, Any]:
    """The findings as ``--json`` writes them."""
    return {"ready": ready(findings), "findings": [finding.to_json() for finding in findings]}
