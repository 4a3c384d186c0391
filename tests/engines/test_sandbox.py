"""Stage files are tried in a process of their own."""

from pathlib import Path

import numpy as np
import pytest

from partway.engines import sandbox
from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.sandbox import main, run_once, try_stages
from partway.errors import InputError
from partway.proto.tensors import TensorSpec

SPEC = TensorSpec("x", "float32", (None, 3))


def stages(folder: Path, *contents: bytes) -> list[Path]:
    """Files of these contents."""
    paths = [folder / f"stage{number}" for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return paths


def test_files_that_run_are_let_through(tmp_path: Path) -> None:
    """Every file is loaded and run on zeros; the shapes that came out are told."""
    shapes = try_stages("fake", stages(tmp_path, *[fake_stage((SPEC,), (SPEC,))] * 2), "the model")
    assert shapes == {"x": (1, 3)}


def test_a_file_that_is_refused_is_an_input_error_with_the_engines_sentence(tmp_path: Path) -> None:
    """The first good file does not hide the second."""
    with pytest.raises(InputError, match=r"^not a fake stage"):
        try_stages("fake", stages(tmp_path, fake_stage((SPEC,), (SPEC,)), b"{}"), "the model")


def test_a_process_that_dies_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash of the interpreter ends that process, not this one."""
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\necho stage0\necho stage1\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sandbox.sys, "executable", str(crash))
    with pytest.raises(InputError, match="the model is damaged: it ends the fake engine's process in stage1"):
        try_stages("fake", stages(tmp_path, b"", b""), "the model")


def test_a_process_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage may take minutes, not forever."""
    monkeypatch.setattr(sandbox, "LONGEST_S", 0.5)
    forever = fake_stage((SPEC,), (SPEC,), 600.0)
    with pytest.raises(InputError, match="the model does not end within"):
        try_stages("fake", stages(tmp_path, forever), "the model")


def test_the_files_are_named_before_they_are_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who watches knows where the process ended."""
    good, bad = stages(tmp_path, fake_stage((SPEC,), (SPEC,)), b"no stage")
    assert main(["fake", str(good), str(bad), str(good)]) == InputError.exit_code
    out, err = capsys.readouterr()
    assert out.splitlines() == ["stage0", 'shapes {"x": [1, 3]}', "stage1"]
    assert err.startswith("not a fake stage")
    assert run_once(FakeEngine(), good, {"x": np.ones((4, 3), np.float32)})["x"].shape == (4, 3)
