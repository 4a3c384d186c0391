"""gRPC and fork: a process forked from one that used gRPC hangs in its first call, so it is told instead.

See https://github.com/grpc/grpc/blob/master/doc/fork_support.md: the asynchronous client has no support for fork.
"""

from __future__ import annotations

import os

_used_by: list[int] = []
"""The process that used gRPC first, if any: a forked child finds its parent's number here."""


def refuse_forked() -> None:
    """Note that this process uses gRPC. Raises RuntimeError where a process that it was forked from did before."""
    if not _used_by:
        _used_by.append(os.getpid())
    elif _used_by[0] != os.getpid():
        raise RuntimeError(
            f"this process was forked from process {_used_by[0]}, which had used a cloud before: gRPC does not work"
            " here; start it with multiprocessing's spawn, fork before a cloud is used, or give cloud='none'"
        )
