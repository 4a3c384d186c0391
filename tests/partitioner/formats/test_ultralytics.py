"""Entries of Ultralytics' exporter: labels and sizes as literals, nothing run, nothing believed that is damaged."""

import pytest

from partway.partitioner.formats.ultralytics import is_ultralytics, literal, picture_size, ultralytics_facts

ENTRIES = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[320, 416]", "stride": "32"}


def test_a_detector_takes_a_letterbox_from_0_to_1() -> None:
    """Grey 114 around RGB, and its classes have names."""
    facts = ultralytics_facts(ENTRIES)
    assert is_ultralytics(ENTRIES)
    assert facts.input == {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,), "order": "RGB", "fit": "letterbox-114"}
    assert (facts.labels, facts.task, facts.metadata) == (("cat", "dog"), "detect", ENTRIES)


def test_a_classifier_takes_the_centre() -> None:
    """No letterbox."""
    assert ultralytics_facts({**ENTRIES, "task": "classify"}).input["fit"] == "crop"


@pytest.mark.parametrize(("names", "labels"), [
    ("['a', 'b']", ("a", "b")), ("{1: 'b', 0: 'a'}", ("a", "b")), ("{0: 'a', 2: 'c'}", ()), ("[", ()), ("{}", ()),
    ("__import__('os').system('true')", ()), ("'a'", ()), ("{0: ['a']}", ("['a']",)), ("(" * 100_000, ()),
    ("[" + "'a'," * 400_000 + "]", ()), ("{'0': 'a'}", ()),
])  # fmt: skip
def test_names_are_read_as_literals(names: str, labels: tuple[str, ...]) -> None:
    """In the order of their numbers; none if one is missing or the text is no literal."""
    assert ultralytics_facts({**ENTRIES, "names": names}).labels == labels


@pytest.mark.parametrize(("text", "size"), [
    ("[320, 416]", (320, 416)), ("640", (640, 640)), ("(64, 32)", (64, 32)), ("[0, 3]", None), ("[3]", None),
    ("['a', 2]", None), ("True", None), ("", None), ("{}", None), ("[99999999, 2]", None),
])  # fmt: skip
def test_the_size_of_pictures_is_height_and_width(text: str, size: tuple[int, int] | None) -> None:
    """One number stands for both."""
    assert picture_size({"imgsz": text}) == size


@pytest.mark.parametrize("entries", [{}, {"task": "detect"}, {**ENTRIES, "task": "fly"}])
def test_other_entries_are_not_ultralytics(entries: dict[str, str]) -> None:
    """All three keys, and a known task."""
    assert not is_ultralytics(entries)


def test_a_literal_is_never_run() -> None:
    """Neither calls nor names."""
    assert literal("1 + open") is None
    assert literal("[1, 'a']") == [1, "a"]
