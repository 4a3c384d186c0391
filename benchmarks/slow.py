"""A device slower than this machine: the package's own (``partway.engines.slow``)."""

from partway.engines.slow import SlowEngine, SlowStage

__all__ = ["SlowEngine", "SlowStage"]
