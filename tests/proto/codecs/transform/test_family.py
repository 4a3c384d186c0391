"""The names of fitted transforms."""

import pytest

from partway.proto.codecs.transform.family import TRANSFORM


@pytest.mark.parametrize(
    ("name", "known"), [("t15", True), ("t100", True), ("t0", False), ("t", False), ("t1000", False)]
)
def test_a_fitted_codec_is_named_by_its_step_in_per_cent(name: str, known: bool) -> None:
    """Numbers from 1 to 999 without a leading zero."""
    assert TRANSFORM.matches(name) is known


def test_only_plans_build_fitted_codecs() -> None:
    """A name alone does not make one, and calibration does not measure what it has not fitted."""
    assert TRANSFORM.make is None
    assert TRANSFORM.names == ()
