"""TFLite's tensor types: how many bits an element has, and which numpy dtype it is on the wire."""

from __future__ import annotations

from partway.partitioner.formats.tflite.file import schema

_TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
STRING: int = schema.TensorType.STRING
_ODD_BITS = {
    "STRING": 8, "BOOL": 8, "RESOURCE": 32, "VARIANT": 32, "COMPLEX64": 64, "COMPLEX128": 128, "BFLOAT16": 16,
    "FLOAT8_E4M3FN": 8, "FLOAT8_E5M2": 8,
}  # fmt: skip
NUMPY = {
    number: name.lower()
    for number, name in _TYPES.items()
    if name
    in ("FLOAT16", "FLOAT32", "FLOAT64", "BOOL", *(f"{u}INT{bits}" for u in ("", "U") for bits in (8, 16, 32, 64)))
}
"""The numpy dtype names of the types that can be sent; text, handles, complex numbers and half bytes cannot."""
BITS: dict[int, int] = {number: _ODD_BITS.get(name) or int(name.lstrip("FLOATUIN")) for number, name in _TYPES.items()}
SUB_BYTE = frozenset(number for number, bits in BITS.items() if bits < 8)


def type_name(number: int) -> str:
    """``int8`` and so on."""
    return str(_TYPES.get(number, number)).lower()
