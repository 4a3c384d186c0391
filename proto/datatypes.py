"""The Open Inference Protocol's datatype names and numpy's, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from partway.proto.errors import WireError

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


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """Little-endian numpy dtype of an OIP datatype; WireError for BYTES and for names the protocol does not have."""
    try:
        return np.dtype(NUMPY_NAME[datatype]).newbyteorder("<")
    except KeyError:
        raise WireError(f"datatype {datatype!r:.40} is not supported; use one of {', '.join(NUMPY_NAME)}") from None


def oip_datatype(dtype: str) -> str:
    """OIP datatype of a numpy dtype name."""
    try:
        return OIP_NAME[dtype]
    except KeyError:
        raise WireError(f"tensors of dtype {dtype} cannot travel in the Open Inference Protocol") from None
