"""Find the line of the model's own code that caused an error: the deepest stack frame outside all libraries."""

from __future__ import annotations

import linecache
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import partway.partitioner

LIBRARIES = ("site-packages", "dist-packages")
_HOMES = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("platstdlib"),
    str(Path(partway.partitioner.__file__).parent),
)
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
MOST_CHARACTERS = 160


def place(error: BaseException) -> str:
    """``file, line N (code)`` of the model's own code that an exception came from; empty where it is in none."""
    node = _node(error)
    if node is not None and (found := place_of_node(node)):
        return found
    frames = [frame for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    return _shown((frame.filename, frame.lineno or 0) for frame in frames)


def place_of_node(node: Any) -> str:
    """The same of an operator in an exported graph, by the stack it was traced in."""
    stack = str(node.meta.get("stack_trace") or "")
    return _shown((file, int(line)) for file, line in _FRAME.findall(stack))


def operator_of(error: BaseException) -> str:
    """The name of the operator that could not be converted, such as ``aten.bessel_j0``; empty when it is not known."""
    node = _node(error)
    return "" if node is None or node.op != "call_function" else str(node.target).removesuffix(".default")


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, without the advice that follows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:MOST_CHARACTERS]


def _shown(frames: Iterable[tuple[str, int]]) -> str:
    """The last frame outside all libraries; where there is none, the last inside one that is not torch itself."""
    located = [(file, line) for file, line in frames if not file.startswith("<")]
    own = [frame for frame in located if not _in_library(frame[0])]
    foreign = [frame for frame in located if "/torchvision/" in frame[0] or "/timm/" in frame[0]]
    if not (own or foreign):
        return ""
    file, line = (own or foreign)[-1]
    code = linecache.getline(file, line).strip()
    return f"{_short(file)}, line {line}" + (f" ({code})" if code else "")


def _in_library(file: str) -> bool:
    return any(part in LIBRARIES for part in Path(file).parts) or any(file.startswith(home) for home in _HOMES)


def _short(file: str) -> str:
    try:
        return str(Path(file).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes, innermost last."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def _node(error: BaseException) -> Any:
    """The operator that the exporter was converting, read from its stack frames."""
    for one in _chain(error):
        tb = one.__traceback__
        while tb is not None:
            node = tb.tb_frame.f_locals.get("node")
            if node is not None and hasattr(node, "meta") and hasattr(node, "target"):
                return node
            tb = tb.tb_next
    return None
