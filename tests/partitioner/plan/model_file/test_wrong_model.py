"""Files and folders that are given as a model and are none: the advice fits what they are, whatever they are called."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partway.cli.main import main
from partway.partitioner.plan.model_file.wrong_model import what_it_is
from partway.partitioner.zoo import model_folder

MNIST = model_folder("mnist")


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return out.getvalue()


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, kind)
    return out.getvalue()


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.zeros(3))
    return out.getvalue()


CASES = [
    (archive("r18/data.pkl", "r18/data/0"), "pt", "PyTorch pickle.*--weights.*torch.onnx.export"),
    (archive("m/data.pkl", "m/code/__torch__.py"), "pt", "TorchScript.*torch.onnx.export"),
    (pickle.dumps({"a": 1}, 2), "pth", "PyTorch pickle"),
    (archive("config.json", "model.weights.h5"), "keras", "Keras.*TFLiteConverter"),
    (b"\x89HDF\r\n\x1a\n123", "h5", "Keras"),
    (b"\x08\x01graph", "pb", "TensorFlow graph.*tf2onnx"),
    (b"ftrt\x00\x00", "engine", "TensorRT engine.*the .onnx file"),
    (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "safetensors", "weights without a graph"),
    (b"GGUF\x03", "gguf", "language model"),
    (picture("JPEG"), "jpg", "picture; give it with --input"),
    (picture("PNG"), "png", "picture"),
    (picture("WEBP"), "webp", "picture"),
    (b"\x00\x00\x00\x18ftypmp42", "mp4", "video; give it with --input"),
    (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav", "sound"),
    (arrays(), "npz", "arrays; give it with --input"),
    (b"version https://git-lfs.github.com/spec/v1\n", "onnx", "git lfs pull"),
    (b"<!DOCTYPE html><html>", "onnx", "web page"),
    (json.dumps({"format": 1, "stage_s": [1]}).encode(), "json", "profile; give it with --profile"),
    (b'{"a": 1}', "json", "JSON file"),
    (b"", "onnx", "empty"),
    (b"\x1c\x00\x00\x00TFL3", "bin", "TFLite model.*ending .tflite"),
    (b"PK\x03\x04broken", "pt", "damaged or incomplete"),
]


@pytest.mark.parametrize(("content", "suffix", "says"), CASES)
def test_a_file_is_told_by_its_content(content: bytes, suffix: str, says: str, tmp_path: Path) -> None:
    """Under its own name; under a model's name too, except where only the name tells."""
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    assert re.search(says, what_it_is(path) or ""), what_it_is(path)
    if suffix not in ("pb", "pth", "bin"):
        renamed = tmp_path / "y.onnx"
        renamed.write_bytes(content)
        assert re.search(says, what_it_is(renamed) or ""), what_it_is(renamed)


def test_models_and_what_is_unknown_get_no_advice(tmp_path: Path) -> None:
    """A real .onnx file and a real .tflite file, a missing file, and bytes nobody knows."""
    assert what_it_is(MNIST / "stage0.onnx") is None
    assert what_it_is(model_folder("mnist-int8") / "stage0.tflite") is None
    assert what_it_is(tmp_path / "nowhere.onnx") is None
    (tmp_path / "model").write_bytes(b"????????????")
    assert what_it_is(tmp_path / "model") is None


def test_a_folder_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    """A SavedModel, a model file, plans, a model of Hugging Face, pictures; an empty one tells nothing."""
    assert what_it_is(tmp_path) is None
    (tmp_path / "a.jpg").touch()
    assert "folder of pictures" in str(what_it_is(tmp_path))
    (tmp_path / "config.json").touch()
    (tmp_path / "model.safetensors").touch()
    assert "optimum-cli export onnx" in str(what_it_is(tmp_path))
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "plan.json").touch()
    assert f"one of them, {tmp_path / 'net'}" in str(what_it_is(tmp_path))
    (tmp_path / "net.onnx").touch()
    assert f"the model in it, {tmp_path / 'net.onnx'}" in str(what_it_is(tmp_path))
    (tmp_path / "saved_model.pb").touch()
    assert f"--saved-model {tmp_path}" in str(what_it_is(tmp_path))


@pytest.mark.parametrize("verb", ["cuts", "slice", "plan", "verify", "profile", "explain"])
def test_every_verb_gives_the_advice(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2, and no folder is left."""
    out = tmp_path / "out"
    more = ["--out", str(out)] if verb in ("slice", "plan") else []
    for content, suffix, word in ((picture("JPEG"), "jpg", "picture"), (CASES[0][0], "pt", "pickle")):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(content)
        assert main([verb, str(path), *more]) == 2
        error = capsys.readouterr().err
        assert f"{path} is a " in error and word in error and error.count("\n") == 1
        assert not out.exists()
