"""Detectors of faces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.tasks.arrays.grids import counts
from partway.tasks.heads.faces import HEADS, recognise_pnet, recognise_ultraface, recognise_yunet
from partway.tasks.heads.head import Reading

Array = np.ndarray[Any, Any]
SIZE = (64, 96)


def _yunet(names: bool) -> dict[str, Array]:
    """A face in the cell (row 2, column 3) of stride 8: a box of 16 x 24 around (28, 20)."""
    outputs = {}
    for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride, length in zip((8, 16, 32), counts(SIZE, (8, 16, 32)), strict=True):
            array = np.zeros((1, length, width), np.float32)
            if stride == 8:
                values = {"cls": 0.81, "obj": 1.0, "bbox": [0.5, 0.5, np.log(2), np.log(3)], "kps": [0.25] * 10}
                array[0, 2 * 12 + 3] = values[part]
            outputs[f"{part}_{stride}" if names else str(len(outputs))] = array
    return outputs


@pytest.mark.parametrize("names", [True, False])
def test_yunet_is_known_by_its_twelve_outputs(names: bool) -> None:
    """With or without their names."""
    outputs = _yunet(names)
    (guess,) = recognise_yunet(outputs, SIZE)
    assert guess.certain
    found = HEADS["yunet"].read(outputs, Reading(guess.output["values"], guess.output, SIZE))
    best = int(found.scores.argmax())
    assert found.scores[best, 0] == pytest.approx(0.9)
    np.testing.assert_allclose(found.boxes[best], [20, 8, 36, 32], rtol=1e-5)
    assert found.points is not None
    np.testing.assert_allclose(found.points[best], [[26, 18, 1]] * 5, rtol=1e-5)


def test_yunet_at_another_size_is_refused() -> None:
    """The grids do not fit."""
    outputs = _yunet(True)
    values = {name: name for name in outputs}
    with pytest.raises(InputError, match="126 anchors, an input of 64 x 64 has 84"):
        HEADS["yunet"].read(outputs, Reading(values, {}, (64, 64)))
    assert recognise_yunet(outputs, (64, 64)) == []


def test_yunet_finds_what_opencv_finds(data: Path) -> None:
    """Boxes and landmarks of a real picture are OpenCV's, without suppression in the way."""
    cv2 = pytest.importorskip("cv2")
    model = data / "models/yunet_2026may.onnx"
    picture = next((data / "imagenet").glob("n03630383*"))
    if not model.is_file():
        pytest.skip("no YuNet in the reference data")
    from onnxruntime import InferenceSession

    pixels = cv2.resize(cv2.imread(str(picture)), (320, 320))
    detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), 0.5, 1.0, 5000)
    wanted = detector.detect(pixels)[1]
    session = InferenceSession(str(model))
    names = [output.name for output in session.get_outputs()]
    arrays = session.run(None, {"input": pixels.transpose(2, 0, 1)[None].astype(np.float32)})
    outputs = dict(zip(names, arrays, strict=True))
    (guess,) = recognise_yunet(outputs, (320, 320))
    found = HEADS["yunet"].read(outputs, Reading(guess.output["values"], guess.output, (320, 320)))
    rows = np.flatnonzero(found.scores[:, 0] >= 0.5)
    rows = rows[np.argsort(-found.scores[rows, 0])]
    assert len(rows) == len(wanted) > 3
    assert found.points is not None
    box = found.boxes[rows]
    np.testing.assert_allclose(np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], 1), wanted[:, :4], atol=0.01)
    np.testing.assert_allclose(found.points[rows, :, :2].reshape(-1, 10), wanted[:, 4:14], atol=0.01)


def _ultraface() -> dict[str, Array]:
    boxes = np.random.default_rng(0).random((4420, 2)).repeat(2, 1)[:, [0, 2, 1, 3]] * 0.5
    boxes[:, 2:] = boxes[:, :2] + 0.3
    shares = np.tile([0.9, 0.1], (4420, 1))
    shares[7], boxes[7] = [0.2, 0.8], [0.25, 0.5, 0.5, 1]
    return {"scores": shares[None].astype(np.float32), "boxes": boxes[None].astype(np.float32)}


def test_ultraface_is_known_by_pairs_of_probabilities() -> None:
    """The second of a pair is the face's."""
    outputs = _ultraface()
    (guess,) = recognise_ultraface(outputs, (240, 320))
    found = HEADS["ultraface"].read(outputs, Reading(guess.output["values"], guess.output, (240, 320)))
    best = int(found.scores.argmax())
    assert (best, found.scores.shape) == (7, (4420, 1))
    np.testing.assert_allclose(found.boxes[best], [80, 120, 160, 240])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scores", lambda array: array * 2),
        ("boxes", lambda array: array * 300),
        ("boxes", lambda array: array[..., [2, 3, 0, 1]]),
        ("boxes", lambda array: array[:, :5]),
    ],
)
def test_other_pairs_are_no_ultraface(name: str, change: Any) -> None:
    """Scores that are no probabilities, boxes in pixels, as centres, of another number."""
    outputs = _ultraface()
    assert recognise_ultraface({**outputs, name: change(outputs[name])}, (240, 320)) == []


def _pnet(size: tuple[int, int]) -> dict[str, Array]:
    height, width = (-(-(side - 2) // 2) - 4 for side in size)
    shares = np.tile(np.array([0.9, 0.1], np.float32), (1, height, width, 1))
    offsets = np.zeros((1, height, width, 4), np.float32)
    shares[0, 3, 5], offsets[0, 3, 5] = [0.1, 0.9], [0.5, 0.25, -0.5, 0]
    return {"reg": offsets, "prob": shares}


def test_p_net_reads_a_cell_every_two_pixels() -> None:
    """Corners of a cell of 12 pixels move by the offsets."""
    outputs = _pnet((48, 64))
    (guess,) = recognise_pnet(outputs, (48, 64))
    assert guess.certain
    found = HEADS["pnet"].read(outputs, Reading(guess.output["values"], guess.output, (48, 64)))
    best = int(found.scores.argmax())
    np.testing.assert_allclose(found.boxes[best], [10 + 6, 6 + 3, 22 - 6, 18])
    assert recognise_pnet(outputs, (48, 80)) == []
    with pytest.raises(InputError, match="different grids"):
        HEADS["pnet"].read({**outputs, "reg": np.zeros((1, 2, 2, 4))}, Reading(guess.output["values"], {}, (48, 64)))
