"""A stage as one ONNX Runtime session, and ONNX Runtime's errors in short form."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from partway.engines.interface import OutOfMemory, Outputs
from partway.errors import InputError
from partway.proto.tensors import TensorSpec, Values

_SOURCE = re.compile(r"\S+\.(?:h|cc|cpp):[0-9]+ (?:.*? was false\. ?)?")
"""Where in ONNX Runtime's own source an error was raised."""
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


class OnnxStage:
    """One ONNX Runtime session; ``keep`` holds what its weights are views of."""

    def __init__(self, session: Any, keep: object = None) -> None:
        self.session = session
        self._run = getattr(session, "_sess", session).run  # its wrapper in Python costs some 20 µs a run, cold
        self._keep = keep
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._in = tuple(spec.name for spec in self.inputs)
        self._out = tuple(spec.name for spec in self.outputs)

    def run(self, values: Values) -> Outputs:
        """Every output by name; InputError when ONNX Runtime refuses the tensors, OutOfMemory when it has no room."""
        feeds = {name: values[name] for name in self._in}
        try:
            results: list[np.ndarray[Any, Any]] = self._run(self._out, feeds, None)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but Exception
            if "Failed to allocate memory" in str(error):
                raise OutOfMemory("ONNX Runtime found no memory for the tensors") from error
            raise InputError(f"ONNX Runtime refused the tensors: {brief(error)}") from error
        return dict(zip(self._out, results, strict=True))


def _spec(node: Any) -> TensorSpec:
    try:
        name, kind, shape = node.name, node.type, node.shape
    except UnicodeDecodeError as error:  # a damaged file's
        raise InputError("the name of a value of this stage is no text") from error
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise InputError(f"value {name} is a {kind}; only plain tensors can cross between stages")
    return TensorSpec(name, dtype, tuple(size if isinstance(size, int) else None for size in shape))


def brief(error: Exception) -> str:
    """ONNX Runtime's message without the position in its source."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _SOURCE.sub("", text)[:300]
