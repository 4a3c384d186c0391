"""A decision to explain: a plan whose input was measured as a picture, two machines and a link."""

from __future__ import annotations

from partway.engines.interface import OperatorTiming
from partway.partitioner.decide.estimate import Link
from partway.partitioner.explain.explanation import Machine

SIZES = (12000, 8000, 2000, 10)
CODECS = (("raw", 48000.0, 0.0), ("u8", 12000.0, 0.0), ("jpeg75", 3000.0, 0.002), ("webp75", 2000.0, 0.009))
NAMED = "a <b> & c"


def machine(name: str, *stage_s: float, operators: bool = False) -> Machine:
    """A machine with these seconds per stage; with ``operators`` one operator a stage."""
    times = tuple(OperatorTiming(f"/conv{i}", "Conv", i, s) for i, s in enumerate(stage_s)) if operators else ()
    return Machine(name, stage_s, times)


DEVICE = machine("Raspberry Pi 4 Model B Rev 1.4", 0.02, 0.06, 0.12, operators=True)
CLOUD = machine("a <fast> cloud", 0.001, 0.003, 0.006)
LINK = Link(5e6, 0.04)
