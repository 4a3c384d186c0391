"""Makes gRPC survive fork: children do not crash, and get an error where gRPC cannot work. Import before gRPC.

gRPC's own fork handlers sometimes crash children, even those that do nothing: its asynchronous client does not support
fork (https://github.com/grpc/grpc/blob/master/doc/fork_support.md). gRPC reads its environment variable once, at
import, so the variable is set only for the import. A child that calls a cloud itself would hang.
"""

from __future__ import annotations

import os

_VARIABLE = "GRPC_ENABLE_FORK_SUPPORT"
_used_by: list[int] = []
"""The process that used gRPC first, if any; a forked child finds its parent's process id here."""


def _import_without_handlers() -> None:
    """Import gRPC without its fork handlers, unless the user set the variable; the environment does not change."""
    if _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = "0"
    try:
        import grpc  # noqa: F401
    finally:
        del os.environ[_VARIABLE]


def refuse_forked() -> None:
    """Note that this process uses gRPC. Raises RuntimeError if the process it was forked from already did."""
    if not _used_by:
        _used_by.append(os.getpid())
    elif _used_by[0] != os.getpid():
        raise RuntimeError(
            f"this process was forked from process {_used_by[0]}, which had used a cloud before: gRPC does not work"
            " here; start it with multiprocessing's spawn, fork before a cloud is used, or give cloud='none'"
        )


_import_without_handlers()
