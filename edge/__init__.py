"""The device half: command line, sources, runner, transport, link estimator, discovery; and all that as a library."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partway.edge.pipeline.result import FrameResult
    from partway.edge.session.async_session import AsyncSession
    from partway.edge.session.opened import OpenSession
    from partway.edge.session.session import Session

__all__ = ["AsyncSession", "FrameResult", "OpenSession", "Session"]

_WHERE = {
    "FrameResult": "pipeline.result",
    "OpenSession": "session.opened",
    "Session": "session.session",
    "AsyncSession": "session.async_session",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: a command begins to look for clouds before it imports what takes time."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
