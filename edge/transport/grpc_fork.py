"""gRPC and fork: forked children live, and are told where gRPC cannot work. Import this before gRPC.

gRPC's own fork handlers crash children now and then, even those that do nothing: its asynchronous client does not
support fork (https://github.com/grpc/grpc/blob/master/doc/fork_support.md). gRPC reads its environment variable once,
when it is imported, so the variable is set for that moment only. A child that calls a cloud itself would hang.
"""

from __future__ import annotations

import os

_VARIABLE = "GRPC_ENABLE_FORK_SUPPORT"
_used_by: list[int] = []
"""The process that used gRPC first, if any: a forked child finds its parent's number here."""


def _import_without_handlers() -> None:
    """Import gRPC with its fork handlers off, unless the user decided; the environment is left as it was."""
    if _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = "0"
    try:
        import grpc  # noqa: F401
    finally:
        del os.environ[_VARIABLE]


def refuse_forked() -> None:
    """Note that this process uses gRPC. Raises RuntimeError where a process that it was forked from did before."""
    if not _used_by:
        _used_by.append(os.getpid())
    elif _used_by[0] != os.getpid():
        raise RuntimeError(
            f"this process was forked from process {_used_by[0]}, which had used a cloud before: gRPC does not work"
            " here; start it with multiprocessing's spawn, fork before a cloud is used, or give cloud='none'"
        )


_import_without_handlers()
