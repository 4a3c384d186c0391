"""Model formats: which files can be sliced, and what is imported to know it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.plan.model_file.model_format import FORMATS, SLICERS, is_model_file, suffix_of


@pytest.mark.parametrize(
    ("path", "suffix"),
    [("net.onnx", "onnx"), ("a.b/NET.TFLite", "tflite"), ("net", ""), ("a.onnx/net", ""), (".onnx", ""), ("n.", "")],
)
def test_a_suffix_is_lower_case_without_its_dot(path: str, suffix: str) -> None:
    """Folders do not count, nor does the dot of a hidden file."""
    assert suffix_of(Path(path)) == suffix


@pytest.mark.parametrize(
    ("model", "expected"),
    [("a/b.ONNX", True), ("b.tflite", True), ("mnist", False), ("plan.json", False), ("net.onnx/", True), ("", False)],
)
def test_only_known_suffixes_are_model_files(model: str, expected: bool) -> None:
    """A plan's folder, its file and a name are not."""
    assert is_model_file(model) is expected


def test_the_shipped_formats_are_found_by_suffix() -> None:
    """An unknown one is refused with the known ones."""
    assert FORMATS.own_names() == ["onnx", "tflite"]
    assert "file" in SLICERS
    with pytest.raises(InputError, match=r"unknown model format 'onx'; did you mean 'onnx'\? known: onnx, tflite"):
        FORMATS.get("onx")


def test_a_device_that_slices_nothing_imports_no_format() -> None:
    """To tell a model file by its name takes neither a format's package nor the graph."""
    code = (
        "import sys; from partway.partitioner.plan.model_file.model_format import is_model_file\n"
        "assert is_model_file('a.onnx') and not is_model_file('mnist')\n"
        "print([name for name in sys.modules if name.startswith(('partway.partitioner.formats', 'onnx', "
        "'partway.partitioner.graph', 'partway.partitioner.slicing'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
