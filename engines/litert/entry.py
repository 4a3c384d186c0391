"""The registry entry of the engine litert; LiteRT itself is imported when an engine is made."""

from __future__ import annotations

from partway.engines.interface import Engine, EngineEntry


def _litert(threads: int, device: str) -> Engine:
    from partway.engines.litert.engine import LitertEngine

    return LitertEngine(threads)


LITERT = EngineEntry("litert", _litert, layout="NHWC", trusts_files=True, packages=("ai-edge-litert", "tflite-runtime"))
