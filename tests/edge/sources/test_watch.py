"""A watched folder: which files are pictures, when one is whole, and what happens while the folder changes."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.mnist_plans import PICTURES

from partway.edge.sources import watch as watch_module
from partway.edge.sources.files import Item, Sample, picture_reader
from partway.edge.sources.shipped import WATCHED
from partway.edge.sources.watch import watch_items, watched_folder
from partway.errors import InputError


class Clock:
    """The time module of the watch: the monotonic clock moves only while it sleeps.

    ``actions``: what happens while nobody has a new picture, one at each look at the folder.
    """

    def __init__(self) -> None:
        self.actions: list[Callable[[], object]] = []
        self.count, self.now_s = 0, 5.0

    def sleep(self, seconds: float) -> None:
        """Another look is due."""
        self.count += 1
        self.now_s += seconds
        assert self.count < 1_000, "no picture was taken"
        if self.actions:
            self.actions.pop(0)()

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s

    def perf_counter(self) -> float:
        """A look takes no time."""
        return 0.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Between two looks at the folder only the time of the pause passes."""
    made = Clock()
    monkeypatch.setattr(watch_module, "time", made)
    return made


def put(folder: Path, name: str, body: bytes = b"1", age_s: float = 10.0) -> Path:
    """A file that was changed last so long ago, by the file system's clock."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(body)
    at_s = time.time() - age_s
    os.utime(path, (at_s, at_s))
    return path


def names(folder: Path, deep: str = "") -> Iterator[str]:
    """The names of what is taken, each when it is asked for."""
    items = watch_items(f"watch:{folder}{deep}", PICTURES, lambda path: Sample(path.name))
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


def test_what_is_no_picture_is_left_alone_and_named_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Hidden and partial files are not taken silently; of other kinds one file is named, and pipes are not opened."""
    for name in (".hidden.png", ".a.png.Xy12", "note.txt", "more.txt", "array.npy", "png", "a.png.part", "b.tmp"):
        put(tmp_path, name, age_s=100)
    os.mkfifo(tmp_path / "pipe.png")
    put(tmp_path, "a.png")
    found = names(tmp_path)
    assert next(found) == "a.png"
    clock.actions = [int, int, lambda: put(tmp_path, "b.png")]
    assert next(found) == "b.png"
    ignored = [Path(message.split(" is ignored")[0]) for message in caplog.messages]
    assert sorted(path.suffix for path in ignored) == ["", ".npy", ".txt"]


@pytest.mark.parametrize("age_s", [3600.0, 0.0, -3600.0, -1e9])
def test_file_times_decide_nothing_but_the_order(age_s: float, tmp_path: Path, clock: Clock) -> None:
    """A file dated hours ahead of this clock, or years, is taken as soon as any other."""
    put(tmp_path, "a.png", age_s=age_s)
    assert next(names(tmp_path)) == "a.png"
    assert clock.now_s == pytest.approx(5.0 + watch_module.SETTLED_S, abs=watch_module.POLL_S + 1e-6)


def test_a_picture_that_is_still_written_is_not_taken(tmp_path: Path, clock: Clock) -> None:
    """A file that changes at every look waits, others do not wait for it; it is taken once it stays as it is."""
    body = bytearray(b"1")
    put(tmp_path, "growing.png")

    def grow() -> None:
        body.extend(b"2")
        put(tmp_path, "growing.png", bytes(body), age_s=100.0)

    clock.actions = [grow] * 20
    put(tmp_path, "whole.png")
    found = names(tmp_path)
    assert next(found) == "whole.png"
    assert len(clock.actions) > 10
    assert next(found) == "growing.png"
    assert clock.actions == []
    assert (tmp_path / "growing.png").read_bytes() == body


def test_a_picture_that_changes_between_look_and_turn_waits_again(tmp_path: Path, clock: Clock) -> None:
    """While one picture is answered, the next one may be replaced: it is not read half written."""
    put(tmp_path, "a.png", age_s=20)
    put(tmp_path, "b.png", b"old", age_s=10)
    found = names(tmp_path)
    assert next(found) == "a.png"
    put(tmp_path, "b.png", b"half", age_s=10)
    taken_s = clock.now_s
    assert next(found) == "b.png"
    assert clock.now_s >= taken_s + watch_module.SETTLED_S


def test_a_picture_that_is_replaced_under_its_name_is_taken_again(tmp_path: Path) -> None:
    """Another file of the same size and time, moved over the first one, is another picture."""
    path = put(tmp_path, "a.png")
    status = path.stat()
    found = names(tmp_path)
    assert next(found) == "a.png"
    other = put(tmp_path, "other.tmp", b"2")
    os.utime(other, ns=(status.st_mtime_ns, status.st_mtime_ns))
    other.rename(path)
    assert next(found) == "a.png"


def test_subfolders_are_watched_if_the_user_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``watch:DIR/**`` takes subfolders, new ones too, and follows no links; without it they are named once."""
    put(tmp_path, "day1/a.png")
    put(tmp_path, "day2/b.png")
    put(tmp_path, "c.png", age_s=1)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert next(names(tmp_path)) == "c.png"
    assert [message for message in caplog.messages if "to watch subfolders" in message] == caplog.messages
    assert len(caplog.messages) == 1
    found = names(tmp_path, "/**")
    assert {next(found) for _ in range(3)} == {"day1/a.png", "day2/b.png", "c.png"}
    put(tmp_path, "day3/d.png")
    assert next(found) == "day3/d.png"


def test_thousands_of_files_are_taken_once_and_in_order(tmp_path: Path) -> None:
    """1,000 pictures of one moment come by name, each once."""
    for index in range(1000):
        os.utime(put(tmp_path, f"{index:04}.png"), (1e9, 1e9))
    found = names(tmp_path)
    assert [next(found) for _ in range(1000)] == [f"{index:04}.png" for index in range(1000)]
    put(tmp_path, "last.png")
    assert next(found) == "last.png"


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


def test_a_picture_that_is_removed_and_put_back_is_taken_again(tmp_path: Path, clock: Clock) -> None:
    """What is no longer in the folder is forgotten, so that the same file can be answered twice."""
    path = put(tmp_path, "a.png")
    found = names(tmp_path)
    assert next(found) == "a.png"
    away = tmp_path / "a.away"
    clock.actions = [int, lambda: path.rename(away), lambda: away.rename(path)]
    assert next(found) == "a.png"


def test_a_folder_that_comes_back_brings_only_what_is_new(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A stick that is pulled out and put back, or a share that is lost, ends nothing, and costs two lines."""
    folder, away = tmp_path / "stick", tmp_path / "away"
    folder.mkdir()
    put(folder, "a.png")
    found = names(folder)
    assert next(found) == "a.png"
    clock.actions = [lambda: folder.rename(away), int, int, lambda: put(away, "b.png"), lambda: away.rename(folder)]
    assert next(found) == "b.png"
    assert clock.actions == []
    assert [message.split(" is ")[1].split(" (")[0] for message in caplog.messages] == ["away", "back"]


def test_a_stick_that_leaves_an_empty_folder_behind_brings_only_what_is_new(tmp_path: Path, clock: Clock) -> None:
    """Unmounted, the folder is another, empty one. Mounted again, inodes may differ, size and time do not."""
    folder, stick, bare = tmp_path / "mnt", tmp_path / "stick", tmp_path / "bare"
    folder.mkdir()
    bare.mkdir()
    old = put(folder, "a.png")
    found = names(folder)
    assert next(found) == "a.png"

    def mount_again() -> None:
        folder.rename(bare)
        copy = stick / "copy"
        shutil.copy2(stick / old.name, copy)
        copy.rename(stick / old.name)
        stick.rename(folder)
        put(folder, "b.png")

    clock.actions = [lambda: (folder.rename(stick), bare.rename(folder)), int, int, mount_again]
    assert next(found) == "b.png"


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


def test_a_picture_that_is_removed_while_it_is_read_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a line, not an error of the run, and the next picture is taken."""
    for name, age_s in (("a.png", 9), ("b.png", 5)):
        Image.new("L", (28, 28), 7).save(tmp_path / name)
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    read = picture_reader(PICTURES)

    def read_late(path: Path) -> Sample:
        if path.name == "a.png":
            path.unlink()
        return read(path)

    assert next(watch_items(f"watch:{tmp_path}", PICTURES, read_late)).read().name == "b.png"
    assert caplog.messages == [f"{tmp_path / 'a.png'} was removed while it was read"]
