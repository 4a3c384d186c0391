"""The bar of ``partway train``."""

import pytest

from partway.cli.show.training import progress


def test_no_bar_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error that is no terminal stays empty, and standard output always does."""
    with progress("epoch 1/2", 10) as advance:
        advance(4)
    output = capsys.readouterr()
    assert (output.out, output.err.strip()) == ("", "")
