"""Models to measure on: those of the zoo with random weights (times and sizes do not depend on them)."""

from __future__ import annotations

from pathlib import Path

from partway.partitioner.zoo.export import export_model


def export(name: str, folder: Path) -> Path:
    """``folder/NAME.onnx``: free batch, one input ``image`` of the model's own size."""
    path = folder / f"{name}.onnx"
    export_model(name, path, random=True)
    return path
