"""The second file of a stage, on disk."""

import hashlib
import os
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan import Stage, StageFile
from partway.partitioner.plan.stage_files import map_file, open_data

BODY = bytes(range(256)) * 100
DATA = StageFile("stage0.onnx.data", hashlib.sha256(BODY).hexdigest(), len(BODY))
STAGE = Stage("stage0.onnx", "0" * 64, 1, (), (), 1, DATA)


def test_the_very_bytes_are_mapped(tmp_path: Path) -> None:
    """Read-only, and still there when the name is gone."""
    (tmp_path / DATA.file).write_bytes(BODY)
    mapped = open_data(tmp_path, STAGE)
    (tmp_path / DATA.file).unlink()
    assert bytes(mapped) == BODY
    with pytest.raises(TypeError):
        mapped[0] = 1


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b"x", BODY[:-1] + b"x"])
def test_other_bytes_are_refused(body: bytes, tmp_path: Path) -> None:
    """Empty, cut short, longer, or one byte turned."""
    (tmp_path / DATA.file).write_bytes(body)
    with pytest.raises(InputError, match=r"digest differs.*slice the model again"):
        open_data(tmp_path, STAGE)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """Even to the right bytes: what it points to can be changed from elsewhere."""
    (tmp_path / "elsewhere").write_bytes(BODY)
    (tmp_path / DATA.file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="it is a symbolic link"):
        open_data(tmp_path, STAGE)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, nothing at all."""
    (tmp_path / DATA.file).mkdir()
    with pytest.raises(InputError, match=r"cannot be read .it is no plain file"):
        open_data(tmp_path, STAGE)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no plain file"):
        map_file(tmp_path / "pipe", DATA)
    with pytest.raises(InputError, match="No such file"):
        open_data(tmp_path / "nowhere", STAGE)


def test_a_stage_without_one_has_none(tmp_path: Path) -> None:
    """That is said, not guessed."""
    with pytest.raises(InputError, match="has no data file in its plan"):
        open_data(tmp_path, Stage("stage0.onnx", "0" * 64, 1, (), (), 1))
