"""A package with entry points, as pip would leave it in a folder."""

import os
from collections.abc import Mapping
from pathlib import Path


def installed(
    folder: Path, module: str = "", source: str = "", groups: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str]:
    """Write a module and its distribution's metadata; returns the environment of a process that sees the folder."""
    if module:
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        sections = [
            "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
            for group, entries in (groups or {}).items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
