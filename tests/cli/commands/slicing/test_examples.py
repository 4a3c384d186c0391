"""``--example``: numbers and files by input name."""

from pathlib import Path

import numpy as np
import pytest

from partway.cli.commands.slicing.examples import read_examples
from partway.errors import InputError


def test_numbers_lists_and_files_are_read(tmp_path: Path) -> None:
    """Whole numbers stay whole; a name may hold the sign of equality."""
    np.save(tmp_path / "state.npy", np.zeros((2, 1, 4), np.float32))
    found = read_examples(["sr=16000", "a=b=0.5", "ids=1,2,3", "on=true", f"state={tmp_path / 'state.npy'}"])
    assert {name: value.tolist() for name, value in found.items() if name != "state"} == {
        "sr": 16000, "a=b": 0.5, "ids": [1, 2, 3], "on": True,
    }  # fmt: skip
    assert found["sr"].dtype.kind == "i"
    assert found["state"].shape == (2, 1, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sr", "is not NAME=VALUE"),
        ("sr=", "is not NAME=VALUE"),
        ("sr=fast", "fast is no number and no .npy file"),
        ("sr=nowhere.npy", "nowhere.npy cannot be read"),
    ],
)
def test_what_is_neither_is_one_sentence(text: str, says: str) -> None:
    """With an example of what is right."""
    with pytest.raises(InputError, match=says):
        read_examples([text])
