"""The Open Inference Protocol's datatype names and numpy's, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.errors import WireError

NUMPY_NAME = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
OIP_NAME = {name: oip for oip, name in NUMPY_NAME.items()}
BYTES = "BYTES"
"""Datatype of coded activations on the wire: shape [1], one element with its 4-byte little-endian length in front."""


_LITTLE = {datatype: np.dtype(name).newbyteorder("<") for datatype, name in NUMPY_NAME.items()}


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """Little-endian numpy dtype of an OIP datatype; WireError for BYTES and for names the protocol does not have."""
    try:
        return _LITTLE[datatype]
    except KeyError:
        raise WireError(f"datatype {datatype!r:.40} is not supported; use one of {', '.join(NUMPY_NAME)}") from None


def oip_datatype(dtype: str | np.dtype[Any]) -> str:
    """OIP datatype of a numpy dtype or its name."""
    try:
        return _OIP[dtype]
    except KeyError:
        raise WireError(f"tensors of dtype {dtype} cannot travel in the Open Inference Protocol") from None


_OIP: dict[str | np.dtype[Any], str] = OIP_NAME | {np.dtype(name): oip for name, oip in OIP_NAME.items()}
"""By name and by dtype: asking a dtype for its name takes longer than the rest of packing a small tensor."""
