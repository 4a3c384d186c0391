"""Partway runs a neural network partway on a small device and the rest of the way in the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partway.partitioner.api import plan as plan

__all__ = ["__version__", "plan"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``partway.plan``, imported when it is first asked for: nothing else needs the partitioner to be there."""
    if name == "plan":
        from importlib import import_module

        return import_module("partway.partitioner.api").plan
    raise AttributeError(f"module 'partway' has no attribute {name!r}")
