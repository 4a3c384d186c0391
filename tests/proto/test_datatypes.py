"""The protocol's datatype names and numpy's."""

import numpy as np
import pytest

from partway.errors import WireError
from partway.proto.datatypes import BYTES, NUMPY_NAME, numpy_dtype, oip_datatype


@pytest.mark.parametrize(("datatype", "name"), NUMPY_NAME.items())
def test_every_datatype_has_one_dtype_and_back(datatype: str, name: str) -> None:
    """Names translate in both directions, a dtype counts like its name, and bytes are little-endian."""
    dtype = numpy_dtype(datatype)
    assert dtype == np.dtype(name).newbyteorder("<")
    assert oip_datatype(name) == oip_datatype(np.dtype(name)) == datatype


@pytest.mark.parametrize("datatype", [BYTES, "BF16", "", "float32", "fp32", "X" * 1000])
def test_an_unknown_datatype_is_refused_in_a_short_sentence(datatype: str) -> None:
    """Datatypes that are no tensor of numbers are named, cut to a readable length, beside those that are."""
    with pytest.raises(WireError, match="use one of BOOL") as caught:
        numpy_dtype(datatype)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("dtype", ["complex64", "object", np.dtype("complex128"), np.dtype("S4")])
def test_a_dtype_the_protocol_lacks_is_refused(dtype: "str | np.dtype[np.generic]") -> None:
    """Complex numbers, text and objects cannot travel."""
    with pytest.raises(WireError, match="cannot travel"):
        oip_datatype(dtype)
