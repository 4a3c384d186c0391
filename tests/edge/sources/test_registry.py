"""Input sources are found by prefix or suffix, Partway's own first, then those of other packages."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from partway.edge.sources import registry
from partway.edge.sources.open_inputs import open_inputs
from partway.edge.sources.registry import SOURCES, source_of
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder
from partway.plugins import Registry

PLAN = load_plan(model_folder("mnist"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("camera:0", "camera"),
        ("watch:/somewhere.png", "watch"),
        ("-", "stdin"),
        ("a/film.MP4", "video"),
        ("a/picture.png", "files"),
        ("a/no-suffix", "files"),
        ("-picture.png", "files"),
        (str(Path(__file__).parent), "files"),
    ],
)
def test_each_input_has_its_source(text: str, name: str) -> None:
    """Prefixes win over suffixes; what nobody claims is a file."""
    assert source_of(text) is SOURCES.get(name)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package whose source makes grey pictures without end."""
    information = tmp_path / "grey-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: grey\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[partway.sources]\ngrey = grey_source:GREY\n")
    (tmp_path / "grey_source.py").write_text(
        "from itertools import repeat\n"
        "import numpy as np\n"
        "from partway.edge.sources.files import Item, Sample\n"
        "from partway.edge.sources.source import Source\n"
        "def grey(text, plan):\n"
        "    level = int(text.removeprefix('grey:'))\n"
        "    pixels = np.full((28, 28, 1), level, np.uint8)\n"
        "    return repeat(Item(text, lambda: Sample(text, pixels)))\n"
        "GREY = Source(grey, prefix='grey:', endless=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "SOURCES", Registry("partway.sources", "input source"))
    yield


@pytest.mark.usefixtures("other_package")
def test_a_source_of_another_package_gives_frames() -> None:
    """It is endless: its frames are not counted, and have no second round."""
    part = open_inputs(["grey:7"], PLAN)
    items = list(islice(part.take(None), 3))
    assert [item.name for item in items] == ["grey:7"] * 3
    pixels = items[0].read().pixels
    assert pixels is not None and set(pixels.ravel()) == {7}
    assert (part.count, part.repeatable, part.live) == (None, False, True)
