"""How models of Ultralytics' exporters take pictures."""

import pytest

from partway.partitioner.formats.ultralytics import is_ultralytics, ultralytics_facts

ENTRIES = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[320, 416]", "stride": "32"}


@pytest.mark.parametrize("entries", [ENTRIES, {"names": "['cat', 'dog']", "stride": "32"}])
def test_a_detector_takes_a_letterbox_from_0_to_1(entries: dict[str, str]) -> None:
    """Grey 114 around RGB, and its classes have names; YOLOv5 says less."""
    facts = ultralytics_facts(entries)
    assert is_ultralytics(entries)
    assert facts.input == {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,), "order": "RGB", "fit": "letterbox-114"}
    assert (facts.labels, facts.task, facts.metadata) == (("cat", "dog"), "detect", entries)


def test_a_classifier_takes_the_centre() -> None:
    """No letterbox."""
    assert ultralytics_facts({**ENTRIES, "task": "classify"}).input["fit"] == "crop"


@pytest.mark.parametrize("entries", [{}, {"task": "detect"}, {**ENTRIES, "task": "fly"}, {"names": "{}"}])
def test_other_entries_are_not_ultralytics(entries: dict[str, str]) -> None:
    """Names, stride, and no unknown task."""
    assert not is_ultralytics(entries)
