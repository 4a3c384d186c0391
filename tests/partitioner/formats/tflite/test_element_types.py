"""TFLite's tensor types: their width and their numpy dtypes."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as tfl

from partway.partitioner.formats.tflite.element_types import BITS, NUMPY, STRING, SUB_BYTE, type_name

TYPES = {name: value for name, value in vars(tfl.TensorType).items() if name.isupper()}


def test_every_type_of_the_schema_has_a_width() -> None:
    """A new one of the installed schema would be missed here first."""
    assert set(BITS) == set(TYPES.values())
    assert all(bits > 0 for bits in BITS.values())


@pytest.mark.parametrize("number", sorted(NUMPY))
def test_a_type_that_can_be_sent_is_as_wide_as_its_dtype(number: int) -> None:
    """Bits of an element, in the file and in numpy."""
    assert np.dtype(NUMPY[number]).itemsize * 8 == BITS[number]


@pytest.mark.parametrize("name", ["STRING", "RESOURCE", "VARIANT", "COMPLEX64", "INT4"])
def test_text_handles_complex_numbers_and_half_bytes_cannot_be_sent(name: str) -> None:
    """They have no dtype on the wire."""
    assert TYPES[name] not in NUMPY


def test_half_bytes_are_known_as_such() -> None:
    """Four bits, two elements a byte."""
    assert TYPES["INT4"] in SUB_BYTE
    assert TYPES["INT8"] not in SUB_BYTE
    assert BITS[TYPES["INT4"]] == 4


def test_types_are_named_as_people_write_them() -> None:
    """In small letters; a number that the schema does not know stays a number."""
    assert type_name(TYPES["FLOAT32"]) == "float32"
    assert type_name(STRING) == "string"
    assert type_name(999) == "999"
