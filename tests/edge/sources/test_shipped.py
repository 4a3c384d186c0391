"""The sources that ship with Partway are light until one is opened."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from partway.edge.sources import shipped
from partway.edge.sources.registry import source_of
from partway.edge.sources.shipped import CAMERAS, STDIN_FRAMES, VIDEO_FILES, WATCHED, WAV_FILES
from partway.edge.sources.source import Source


@pytest.mark.parametrize(
    ("text", "source"),
    [("camera:0", CAMERAS), ("-", STDIN_FRAMES), ("a.mp4", VIDEO_FILES), ("watch:in", WATCHED), ("a.WAV", WAV_FILES)],
)
def test_an_input_finds_its_source(text: str, source: Source) -> None:
    """By its beginning or its end."""
    assert source_of(text) is source


def test_finding_a_source_imports_none_of_the_others() -> None:
    """A device that reads pictures needs no microphone."""
    program = """
import sys
from partway.edge.sources.registry import source_of
source_of("picture.png")
print([name for name in sys.modules if name.startswith("partway.edge.sources.") and name.count(".") > 3])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_source_names_a_function_that_exists() -> None:
    """The names are text, so that nothing checks them before an input is opened."""
    text = Path(shipped.__file__).read_text(encoding="utf-8")
    named = re.findall(r'_later\("([a-z._]+)", "([a-z_]+)"\)', text)
    assert len(named) == 8
    for module, function in named:
        assert callable(getattr(import_module(f"partway.edge.sources.{module}"), function))
