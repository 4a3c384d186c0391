"""A watched folder: which files are pictures, when one is whole, and what happens while the folder changes."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.mnist_plans import PICTURES

from partway.edge.sources import watch as watch_module
from partway.edge.sources.files import Item, Sample, picture_reader
from partway.edge.sources.watch import WATCHED, watch_items, watched_folder
from partway.errors import InputError


class Polls:
    """What happens while nobody has a new picture: ``actions``, one at each look at the folder."""

    def __init__(self) -> None:
        self.actions: list[Callable[[], object]] = []
        self.count = 0

    def __call__(self, seconds: float) -> None:
        """In the place of ``time.sleep``."""
        self.count += 1
        assert self.count < 1_000, "no picture was taken"
        if self.actions:
            self.actions.pop(0)()


@pytest.fixture(autouse=True)
def polls(monkeypatch: pytest.MonkeyPatch) -> Polls:
    """Between two looks at the folder no time passes."""
    made = Polls()
    monkeypatch.setattr(time, "sleep", made)
    return made


def put(folder: Path, name: str, body: bytes = b"1", age_s: float = 10.0) -> Path:
    """A file that was changed last so long ago."""
    path = folder / name
    path.write_bytes(body)
    at_s = time.time() - age_s
    os.utime(path, (at_s, at_s))
    return path


def names(folder: Path) -> Iterator[str]:
    """The names of what is taken, each when it is asked for."""
    items = watch_items(f"watch:{folder}", PICTURES, lambda path: Sample(path.name))
    return (item.read().name for item in items)


@pytest.mark.parametrize(("given", "watched"), [("watch:inbox", True), ("inbox", False), ("a/watch:b", False)])
def test_a_watched_folder_is_named_by_its_beginning(given: str, watched: bool) -> None:
    """``watch:DIR`` is a folder to watch, anything else is not."""
    assert WATCHED.matches(given) is watched


def test_the_folder_is_what_follows_the_colon(tmp_path: Path) -> None:
    """An empty folder can be watched, whatever its name is."""
    folder = tmp_path / "in:box"
    folder.mkdir()
    assert watched_folder(f"watch:{folder}") == folder


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    """The sentence says why, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        watched_folder(f"watch:{tmp_path / name}")
    assert str(caught.value).startswith(f"watched folder {tmp_path / name} cannot be read (")
    assert str(caught.value).endswith("; make it, or give another")


def test_items_are_late_and_endless(tmp_path: Path) -> None:
    """Each item may wait long, so that answers do not wait for the next one; no folder is read before."""
    items = watch_items(f"watch:{tmp_path}", PICTURES, lambda path: Sample(path.name))
    taken: list[Item] = [next(items) for _ in range(100)]
    assert all(item.late for item in taken)
    assert {item.name for item in taken} == {f"watch:{tmp_path}"}


def test_the_oldest_picture_comes_first_and_of_equals_the_first_by_name(tmp_path: Path) -> None:
    """Pictures are taken in the order in which they were changed."""
    for name, age_s in (("new.png", 5), ("b.jpg", 20), ("old.PNG", 30)):
        put(tmp_path, name, age_s=age_s)
    state = (tmp_path / "b.jpg").stat()
    put(tmp_path, "a.gif")
    os.utime(tmp_path / "a.gif", ns=(state.st_mtime_ns, state.st_mtime_ns))
    found = names(tmp_path)
    assert [next(found) for _ in range(4)] == ["old.PNG", "a.gif", "b.jpg", "new.png"]


def test_what_is_no_picture_is_left_alone(tmp_path: Path, polls: Polls) -> None:
    """Hidden files, other suffixes and arrays are not taken, however long they lie there."""
    for name in (".hidden.png", "note.txt", "array.npy", "png", "a.png.part"):
        put(tmp_path, name, age_s=100)
    put(tmp_path, "a.png")
    found = names(tmp_path)
    assert next(found) == "a.png"
    polls.actions = [int, int, lambda: put(tmp_path, "b.png")]
    assert next(found) == "b.png"


def test_a_picture_that_is_still_written_is_not_taken(
    tmp_path: Path, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changed a moment ago waits, and others do not wait for it; it is taken once it has settled."""
    monkeypatch.setattr(watch_module, "SETTLED_S", 60.0)
    put(tmp_path, "growing.png", age_s=0.0)
    found = names(tmp_path)
    put(tmp_path, "whole.png", age_s=100.0)
    assert next(found) == "whole.png"
    grow = lambda: put(tmp_path, "growing.png", b"22", age_s=1.0)  # noqa: E731
    polls.actions = [grow, grow, lambda: put(tmp_path, "another.png", age_s=90.0)]
    assert next(found) == "another.png"
    polls.actions = [lambda: put(tmp_path, "growing.png", b"333", age_s=61.0)]
    assert next(found) == "growing.png"


def test_a_picture_waits_until_it_has_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was just written is taken after SETTLED_S, not at once and not never."""
    real_sleep, waits = threading.Event().wait, []
    monkeypatch.setattr(time, "sleep", lambda seconds: waits.append(real_sleep(min(seconds, 0.05))))
    path = put(tmp_path, "a.png", age_s=0.0)
    assert next(names(tmp_path)) == "a.png"
    assert time.time_ns() - path.stat().st_mtime_ns > watch_module.SETTLED_S * 1e9
    assert waits


@pytest.mark.parametrize(("body", "later_ns"), [(b"1", 1), (b"22", 0)], ids=["other time", "other size"])
def test_a_picture_that_changes_is_taken_again(body: bytes, later_ns: int, tmp_path: Path) -> None:
    """Another time of change or another size makes it a new picture; what has not changed comes once."""
    path = put(tmp_path, "a.png", age_s=50)
    put(tmp_path, "b.png", age_s=40)
    found = names(tmp_path)
    assert [next(found), next(found)] == ["a.png", "b.png"]
    before_ns = path.stat().st_mtime_ns
    path.write_bytes(body)
    os.utime(path, ns=(before_ns, before_ns + later_ns))
    put(tmp_path, "c.png", age_s=20)
    assert [next(found), next(found)] == ["a.png", "c.png"]


def test_a_picture_that_is_removed_and_put_back_is_taken_again(tmp_path: Path, polls: Polls) -> None:
    """What is no longer in the folder is forgotten, so that the same file can be answered twice."""
    path = put(tmp_path, "a.png")
    found = names(tmp_path)
    assert next(found) == "a.png"
    away = tmp_path / "a.away"
    polls.actions = [int, lambda: path.rename(away), lambda: away.rename(path)]
    assert next(found) == "a.png"
    assert polls.count == 3


def test_a_folder_that_is_away_for_a_moment_is_waited_for(tmp_path: Path, polls: Polls) -> None:
    """A stick that is pulled out and put back, or a share that is lost, ends nothing."""
    folder, away = tmp_path / "stick", tmp_path / "away"
    folder.mkdir()
    put(folder, "a.png")
    found = names(folder)
    assert next(found) == "a.png"
    (folder / "a.png").unlink()
    polls.actions = [lambda: folder.rename(away), int, lambda: put(away, "b.png"), lambda: away.rename(folder)]
    assert next(found) == "b.png"
    assert polls.actions == []


def test_a_picture_that_vanishes_or_is_none_costs_no_other(tmp_path: Path) -> None:
    """One that cannot be read is one sentence when its turn comes, and the next one is taken."""
    put(tmp_path, "a.png", b"no picture", age_s=30)
    Image.new("L", (28, 28), 7).save(tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (time.time() - 5,) * 2)
    items = watch_items(f"watch:{tmp_path}", PICTURES, picture_reader(PICTURES))
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        next(items).read()
    pixels = next(items).read().pixels
    assert pixels is not None
    np.testing.assert_array_equal(pixels, np.full((28, 28, 1), 7))
