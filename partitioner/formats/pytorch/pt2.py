"""Load a saved ExportedProgram without running anything that is in the file.

torch's own loader unpickles some members, takes any callable below ``torch`` as an operator and evaluates expressions
(its documentation warns against untrusted files). Every such member is refused before the loader sees the file.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from partway.errors import InputError
from partway.partitioner.formats.pytorch.package import import_torch, silenced
from partway.partitioner.formats.pytorch.user_frame import first_line

MEMBERS = ("models/", "data/weights/", "data/constants/", "data/sample_inputs/", "extra/", ".data/")
PLAIN = ("archive_format", "archive_version", "byteorder", "version")
RUNS_CODE = re.compile(r"(^|/)(aotinductor|executorch|mtia)/|/(custom_obj|opaque_obj)_|\.(so|cubin|pyc?|pkl)$")
OPERATOR = re.compile(
    r"torch\.ops\.[a-z_][\w]*\.\w+(\.\w+)?"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem|pos)"
    r"|torch\.sym_(not|ite|int|float|max|min|sqrt|sum)|torch\._sym_\w+"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
SYMBOL = re.compile(r"Symbol\('\w+'")
EXPRESSION = re.compile(r"[\w\s+\-*/%(),.<>=!&|~]*")
WORD = re.compile(r"[A-Za-z_]\w*")
SIZE = re.compile(r"[a-z]{1,4}\d+")
WORDS = frozenset(
    (
        *("Symbol", "Integer", "Rational", "Float", "Mul", "Add", "Pow", "Max", "Min", "Mod", "PythonMod"),
        *("FloorDiv", "CleanDiv", "CeilDiv", "IntTrueDiv", "FloatTrueDiv", "ToFloat", "TruncToInt"),
        *("RoundToInt", "Identity", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "LessThan"),
        *("GreaterThan", "StrictLessThan", "StrictGreaterThan", "And", "Or", "Not", "Piecewise"),
        *("ExprCondPair", "Where", "floor", "ceiling", "oo", "positive", "negative", "nonnegative"),
        *("integer", "nonzero", "real", "evaluate", "True", "False", "true", "false", "Zero", "One"),
        *("NegativeOne", "Half", "S"),
    )
)
"""What may stand in the expression of a size: the loader gives it to ``eval``."""


def load_program(path: Path) -> Any:
    """The ``torch.export.ExportedProgram`` in a ``.pt2`` file. Raises InputError, also for what would run code."""
    torch = import_torch()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"model file {path} cannot be read ({error.strerror}); check the path") from error
    _check(torch, data, path)
    try:
        with silenced(), _weights_only():
            program = torch.export.load(io.BytesIO(data))
    except Exception as error:  # a damaged file makes the loader raise anything
        raise _unreadable(path, first_line(error)) from error
    program._guards_code = []  # Python source, which would be compiled with the module
    return program


@contextmanager
def _weights_only() -> Iterator[None]:
    """While active, torch.load never unpickles, whoever calls it."""
    name, before = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _check(torch: Any, data: bytes, path: Path) -> None:
    """Check every member, read with the loader's own reader."""
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(data))
        names = [str(name) for name in reader.get_all_records()]
        texts = {name: json.loads(reader.get_record(name)) for name in names if name.endswith(".json")}
    except (RuntimeError, ValueError, RecursionError) as error:
        raise _unreadable(path, first_line(error)) from error
    if any(name.startswith("serialized_") for name in names):
        raise InputError(f"{path} was saved by an old torch; load and save it again there with torch 2.8 or newer")
    for name in names:
        if RUNS_CODE.search(name) or not name.startswith((*MEMBERS, *PLAIN)):
            raise _refused(path, f"its member {name!r} is code or a pickle")
    if not any(name.startswith("models/") for name in texts):
        raise _unreadable(path, "there is no program in it")
    for name, content in texts.items():
        for key, value in _entries(content):
            if (why := _unsafe(key, value)) is not None:
                raise _refused(path, f"{name}: {why}")


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    waiting = [content]
    while waiting:
        now = waiting.pop()
        if isinstance(now, dict):
            yield from now.items()
            waiting.extend(now.values())
        elif isinstance(now, list):
            waiting.extend(now)


def _unsafe(key: str, value: Any) -> str | None:
    if key == "use_pickle" and value:
        return "a tensor is kept as a pickle (a tensor subclass)"
    if key == "target" and isinstance(value, str) and "." in value and value.startswith(("torch", "_operator", "math")):
        return None if OPERATOR.fullmatch(value) else f"{value[:80]!r} is no operator"
    if key == "target" and isinstance(value, str) and value.startswith("#"):
        return f"{value[:80]!r} is an operator of an extension"
    if key == "expr_str" and not _is_size(str(value)):
        return f"{str(value)[:80]!r} is no size"
    if isinstance(value, str) and "default_factory" in value:
        return "a defaultdict would import a module by name"
    return None


def _is_size(text: str) -> bool:
    plain = SYMBOL.sub("Symbol(", text)
    harmless = all(word in WORDS or SIZE.fullmatch(word) for word in WORD.findall(plain))
    return harmless and EXPRESSION.fullmatch(plain) is not None


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path} is refused, loading it could run code from the file ({why}); export the module itself")


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no exported program ({why}); write one with torch.export.save(program, 'model.pt2')")
