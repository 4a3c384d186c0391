"""The task text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from partway.errors import InputError
from partway.tasks.interface import Geometry, OutputSpec
from partway.tasks.text import ENTRY, Line, Texts

Array = np.ndarray[Any, Any]
LETTERS = list("abcdefghij")


def _task(classes: int = 12, **output: Any) -> Any:
    entry = {"kind": "text", "value": "y", **output}
    return ENTRY.make(entry, [OutputSpec("y", "float32", (1, None, classes))])


def _steps(path: list[int], classes: int = 12) -> Array:
    return (np.eye(classes, dtype=np.float32)[path] * 0.9 + 0.1 / classes)[None]


def test_a_string_is_read() -> None:
    """With its score; a space is the last class of PaddleOCR's models."""
    found = _task(labels=LETTERS).decode({"y": _steps([0, 1, 1, 11, 0, 3])}, None)
    assert found.to_json() == {"text": [{"text": "a c", "score": pytest.approx(0.9083, abs=1e-4)}]}
    assert found.line == "a c 0.91"


@pytest.mark.parametrize("axes", ["batch, steps", "steps, batch"])
def test_steps_may_come_before_the_batch(axes: str) -> None:
    """As recurrent networks of torch give them; scores get a softmax."""
    steps = np.log(_steps([1, 0, 2]))
    output = steps if axes == "batch, steps" else steps.transpose(1, 0, 2)
    assert _task(labels=LETTERS, softmax=True).decode({"y": output}, None).line == "ab 0.91"


def test_without_a_characters_file_classes_are_numbers() -> None:
    """As classes without labels are."""
    assert _task().decode({"y": _steps([1, 0, 11])}, None).lines[0].text == "1 11"


def test_nothing_read_is_no_line() -> None:
    """All blank, or no numbers at all."""
    for array in (_steps([0, 0]), np.full((1, 3, 12), np.nan), np.zeros((1, 0, 12))):
        found = _task(labels=LETTERS).decode({"y": array}, None)
        assert (found.to_json(), found.line) == ({"text": []}, "no text")


def test_a_characters_file_must_fit() -> None:
    """As many as the classes, with or without blank and space."""
    with pytest.raises(InputError, match="26 labels do not fit a model of 12 classes"):
        _task(labels=list("abcdefghijklmnopqrstuvwxyz"))


def test_another_shape_is_refused() -> None:
    """The classes of the plan are those of the output."""
    with pytest.raises(InputError, match=r"has shape \[1, 3, 5\]"):
        _task().decode({"y": np.zeros((1, 3, 5))}, None)
    with pytest.raises(InputError, match="no output 'y', only x"):
        _task().decode({"x": np.zeros((1, 3, 5))}, None)
    with pytest.raises(InputError, match="how many classes"):
        ENTRY.make({"value": "y"}, [OutputSpec("y", "float32", (1, None, None))])
    with pytest.raises(InputError, match="unknown head 'cdc'"):
        _task(head="cdc")


def test_agreement_is_the_share_of_equal_strings() -> None:
    """Nothing agrees with nothing."""
    task = _task()
    one, two = Line("a", 0.9), Line("b", 0.8)
    assert task.agreement(Texts((one, two)), Texts((one, one))) == 0.5
    assert task.agreement(Texts((one,)), Texts((one, two))) == 0.5
    assert task.agreement(Texts(()), Texts(())) == 1
    assert task.agreement(Texts(()), Texts((one,))) == 0


def _bar() -> Array:
    shares = np.zeros((1, 1, 64, 128), np.float32)
    shares[0, 0, 20:30, 30:100] = 0.9
    return shares


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_places_come_back_in_the_picture_s_pixels(layout: str) -> None:
    """The map may be channels first or last."""
    shares = _bar() if layout == "NCHW" else _bar().transpose(0, 2, 3, 1)
    found = _task(head="db").decode({"y": shares}, Geometry(256, 128, 128, 64, 0.5, 0.5))
    ((line,), (wanted,)) = found.lines, _task(head="db").decode({"y": shares}, None).lines
    np.testing.assert_allclose(line.polygon, wanted.polygon * 2)
    assert found.line == "1 line of text"
    assert len(found.to_json()["text"][0]["polygon"]) == 4


def test_places_agree_by_overlap() -> None:
    """F1 of the outlines."""
    task = _task(head="db")
    found = task.decode({"y": _bar()}, None)
    assert task.agreement(found, found) == 1
    assert task.agreement(found, Texts(())) == 0
    assert task.agreement(Texts(()), Texts(())) == 1
    moved = task.decode({"y": np.roll(_bar(), 30, 2)}, None)
    assert task.agreement(moved, found) == 0


def test_outlines_and_strings_are_drawn() -> None:
    """A string without a place stands in the corner."""
    picture = Image.new("RGB", (128, 64))
    task = _task(head="db")
    assert task.draw(picture, task.decode({"y": _bar()}, None)).getbbox() is not None
    assert task.draw(picture, Texts((Line("线 \x07", 0.5),))).getbbox() is not None
    assert task.draw(picture, Texts(())).getbbox() is None


@pytest.mark.parametrize(
    ("array", "size", "head", "certain"),
    [
        (_steps([0, 0, 1]), (48, 320), {"head": "ctc", "blank": 0, "softmax": False}, True),
        (_steps([11, 11, 1]), None, {"head": "ctc", "blank": 11, "softmax": False}, True),
        (np.log(_steps([0, 0, 1])), None, {"head": "ctc", "blank": 0, "softmax": True}, False),
        (np.log(_steps([4, 2, 1])), None, None, None),
        (_bar(), (64, 128), {"head": "db"}, False),
        (_bar(), (128, 128), None, None),
        (_bar() * 3, (64, 128), None, None),
        (np.full((1, 3, 12), np.nan), None, None, None),
    ],
)
def test_which_outputs_are_text(array: Array, size: Any, head: dict[str, Any] | None, certain: bool | None) -> None:
    """Steps that sum up to 1, or mostly blank; a map of 0 to 1 may be anything."""
    guess = ENTRY.recognise({"y": array}, size)
    assert (guess and guess.certain) == certain
    assert guess is None or {key: guess.output[key] for key in head or {}} == head


def test_paddleocr_reads_drawn_text(data: Path) -> None:
    """A real recogniser with the characters of its own metadata."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = data / "models/ch_PP-OCRv4_rec_infer.onnx"
    if not model.is_file():
        pytest.skip("no PP-OCR in the reference data")
    picture = Image.new("RGB", (320, 48), "white")
    ImageDraw.Draw(picture).text((8, 4), "Hello 2026", font=ImageFont.load_default(34), fill="black")
    session = onnxruntime.InferenceSession(str(model))
    pixels = (np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5
    output = session.get_outputs()[0].name
    outputs = {output: session.run(None, {"x": pixels})[0]}
    guess = ENTRY.recognise(outputs, (48, 320))
    assert guess is not None
    assert guess.certain
    labels = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    task = ENTRY.make({**guess.output, "labels": labels}, [OutputSpec(output, "float32", (None, None, 6625))])
    assert task.decode(outputs, None).lines[0].text == "Hello 2026"  # type: ignore[attr-defined]


def test_paddleocr_finds_lines_of_text(data: Path) -> None:
    """A real detector on a drawn page: one outline for each line, around its letters, the turned one turned."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = data / "models/ch_PP-OCRv4_det_infer.onnx"
    if not model.is_file():
        pytest.skip("no PP-OCR in the reference data")
    page = Image.new("RGB", (640, 320), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(40)
    draw.text((40, 30), "Hello split world", font=font, fill="black")
    left, _, right, _ = draw.textbbox((40, 30), "Hello split world", font=font)
    turned = Image.new("RGB", (340, 60), "white")
    ImageDraw.Draw(turned).text((5, 5), "a rotated line", font=ImageFont.load_default(36), fill="red")
    page.paste(turned.rotate(12, expand=True, fillcolor="white"), (150, 150))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((np.asarray(page)[..., ::-1] / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    session = onnxruntime.InferenceSession(str(model))
    output = session.get_outputs()[0].name
    outputs = {output: session.run(None, {"x": pixels})[0]}
    guess = ENTRY.recognise(outputs, (320, 640))
    assert guess is not None
    assert guess.likely == 0.5
    task = ENTRY.make(guess.output, [OutputSpec(output, "float32", (1, 1, None, None))])
    found: Any = task.decode(outputs, None)
    upper, lower = (line.polygon for line in found.lines)
    assert (upper[:, 0].min(), upper[:, 0].max()) == pytest.approx((left, right), abs=10)
    slope = (lower[1, 1] - lower[0, 1]) / (lower[1, 0] - lower[0, 0])
    assert np.degrees(np.arctan(slope)) == pytest.approx(-12, abs=3)
