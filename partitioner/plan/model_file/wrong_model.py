"""What to do with a file or folder that is given as a model and is none: told by its content, then by its name."""

from __future__ import annotations

from pathlib import Path

from partway.partitioner.plan.model_file.model_format import FORMATS, suffix_of

HEAD_BYTES = 4096
ONNX_RUNS = (".onnx", ".tflite")

EXPORT = "export it: torch.onnx.export(model, (example,), 'model.onnx', dynamo=True), and give model.onnx"
PICKLE = (
    "a PyTorch pickle (weights or a whole model), which runs whatever code is in it when it is loaded: refused; save"
    " the weights with torch.save(model.state_dict(), 'weights.pt') and give `partway plan module:factory --weights"
    f" weights.pt --out DIR`, or {EXPORT}, or torch.export.save(torch.export.export(model, (example,)), 'model.pt2')"
)
SCRIPT = f"a TorchScript archive, which Partway does not read; take the model that it was made of and {EXPORT}"
KERAS = (
    "a Keras model; load it and convert it in Python: tf.lite.TFLiteConverter.from_keras_model(model).convert() gives"
    " the bytes of a .tflite file"
)
SAVED_MODEL = (
    "a TensorFlow SavedModel; convert it: `python -m tf2onnx.convert --saved-model DIR --output model.onnx`, or"
    " tf.lite.TFLiteConverter.from_saved_model(DIR)"
)
GRAPH_DEF = (
    "a TensorFlow graph; convert it: `python -m tf2onnx.convert --graphdef FILE --output model.onnx --inputs NAME:0"
    " --outputs NAME:0`"
)
ENGINE = "a TensorRT engine, which is compiled for one GPU; give the .onnx file that it was built from"
COREML = "a Core ML model; give the model that it was converted from, as .onnx or .tflite"
OPENVINO = "an OpenVINO model; give the .onnx file that it was converted from"
PADDLE = "a Paddle model; convert it: `paddle2onnx --model_dir DIR --model_filename FILE --save_file model.onnx`"
CAFFE = "a Caffe or Darknet model; convert it to ONNX with the tools of its makers"
NCNN = "a model of a phone's runtime (ncnn, MNN, RKNN); give the .onnx file that it was converted from"
WEIGHTS = "a file of weights without a graph; export the model that they belong to as .onnx"
LANGUAGE = "a language model in GGUF form, which Partway does not split; give an .onnx or .tflite file"
PICTURE = "a picture; give it with --input, and a model with --model"
VIDEO = "a video; give it with --input, and a model with --model"
SOUND = "a sound; give it with --input, and a model with --model"
ARRAYS = "a file of arrays; give it with --input (or --calibrate), and a model with --model"
ARCHIVE = "an archive; unpack it and give the model in it"
LFS = "a pointer of Git LFS, not the model itself; run `git lfs pull`"
PAGE = "a web page, not a model: the download went wrong; fetch the file itself"
PROFILE = "a profile; give it with --profile, and the plan's folder as the model"
JSON = "a JSON file, not a model; give the folder of a plan, or an .onnx or .tflite file"
EMPTY = "empty; download or export it again"

MAGIC = (
    (b"\xff\xd8\xff", PICTURE),
    (b"\x89PNG\r\n", PICTURE),
    (b"GIF8", PICTURE),
    (b"II*\x00", PICTURE),
    (b"MM\x00*", PICTURE),
    (b"\x89HDF\r\n\x1a\n", KERAS),
    (b"ftrt", ENGINE),
    (b"GGUF", LANGUAGE),
    (b"\x93NUMPY", ARRAYS),
    (b"\x1aE\xdf\xa3", VIDEO),
    (b"ID3", SOUND),
    (b"OggS", SOUND),
    (b"fLaC", SOUND),
    (b"\x1f\x8b", ARCHIVE),
    (b"7z\xbc\xaf", ARCHIVE),
    (b"version https://git-lfs", LFS),
)
"""First bytes of formats that people give."""

SUFFIXES = {
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle", ".ckpt"), PICKLE),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), KERAS),
    **dict.fromkeys((".pb", ".pbtxt"), GRAPH_DEF),
    **dict.fromkeys((".engine", ".trt", ".plan"), ENGINE),
    **dict.fromkeys((".mlmodel", ".mlpackage"), COREML),
    ".xml": OPENVINO,
    **dict.fromkeys((".pdmodel", ".pdiparams"), PADDLE),
    **dict.fromkeys((".caffemodel", ".prototxt", ".weights", ".cfg"), CAFFE),
    **dict.fromkeys((".mnn", ".rknn", ".param", ".hef"), NCNN),
    ".safetensors": WEIGHTS,
    ".gguf": LANGUAGE,
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif"), PICTURE),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"), VIDEO),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg"), SOUND),
    **dict.fromkeys((".npy", ".npz"), ARRAYS),
    **dict.fromkeys((".tar", ".tgz", ".zip", ".gz"), ARCHIVE),
    ".json": JSON,
}


def what_it_is(path: Path) -> str | None:
    """What a file or folder is and what to do, to follow its name: ``PATH is …``. None where nothing is known.

    Nothing is known of a sound-looking ``.onnx``, ``.tflite`` or ``.pt2`` file, nor of a format that another package
    reads. Reads a few KB.
    """
    suffix = suffix_of(path)
    if suffix not in FORMATS.own_names() and suffix and suffix in FORMATS:
        return None
    try:
        return _folder(path) if path.is_dir() else _file(path) if path.is_file() else None
    except OSError:
        return None  # who opens it reports why


def _file(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    for find in (_by_magic, _zip, _text, _renamed):
        if found := find(head, path):
            return found
    return SUFFIXES.get(path.suffix.lower())


def _by_magic(head: bytes, path: Path) -> str | None:
    for magic, found in MAGIC:
        if head.startswith(magic):
            return found
    if head[:4] == b"RIFF":
        return {b"WEBP": PICTURE, b"AVI ": VIDEO, b"WAVE": SOUND}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return PICTURE if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else VIDEO
    if head[:1] == b"\x80" and 2 <= head[1] <= 5 and path.suffix.lower() not in ONNX_RUNS:
        return PICKLE
    return WEIGHTS if head[2:8] == bytes(6) and head[8:9] == b"{" else None


def _zip(head: bytes, path: Path) -> str | None:
    """Several formats are zip archives; which one, the names of their members say."""
    if not head.startswith(b"PK\x03\x04") or path.suffix.lower() == ".pt2":
        return None
    import zipfile  # devices need it for a mistake only

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "a damaged or incomplete archive; download or export it again"
    if any(name.endswith("data.pkl") for name in names):
        return SCRIPT if any("/code/" in name for name in names) else PICKLE
    if any(name.endswith("weights.h5") for name in names):
        return KERAS
    if names and all(name.endswith(".npy") for name in names):
        return ARRAYS
    return ARCHIVE


def _text(head: bytes, path: Path) -> str | None:
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return PAGE
    if start.startswith(b"{") and path.name != "plan.json":
        return PROFILE if b'"stage_s"' in head else JSON
    return None


def _renamed(head: bytes, path: Path) -> str | None:
    """A TFLite model under another name, or another model under TFLite's."""
    suffix = path.suffix.lower()
    if head[4:8] == b"TFL3" and suffix != ".tflite":
        return "a TFLite model; give its name the ending .tflite"
    return None


def _folder(path: Path) -> str | None:
    names = sorted(child.name for child in path.iterdir())
    if "plan.json" in names:
        return None
    if "saved_model.pb" in names:
        return SAVED_MODEL.replace("DIR", str(path))
    for what, found in (
        ("a folder without a plan; give the model in it", [name for name in names if _suffix(name) in ONNX_RUNS]),
        ("a folder of plans; give one of them", [name for name in names if (path / name / "plan.json").is_file()]),
    ):
        if found:
            more = f" (or {len(found) - 1} more)" if len(found) > 1 else ""
            return f"{what}, {path / found[0]}{more}"
    return _by_kinds(path, names, {SUFFIXES.get(_suffix(name)) for name in names})


def _by_kinds(path: Path, names: list[str], kinds: set[str | None]) -> str | None:
    if "config.json" in names and ("pytorch_model.bin" in names or kinds & {PICKLE, WEIGHTS}):
        command = f"optimum-cli export onnx --model {path} exported"
        return f"a model of Hugging Face; export it: `{command}`, and give the .onnx file"
    return "a folder of pictures; give it with --input, and a model with --model" if PICTURE in kinds else None


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
