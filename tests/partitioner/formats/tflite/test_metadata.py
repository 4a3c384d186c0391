"""What the metadata of TFLite files says: written by others, made here, and damaged."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

flatbuffers = pytest.importorskip("flatbuffers")
pytest.importorskip("ai_edge_litert")

from partway.partitioner.formats.tflite.metadata import facts_of  # noqa: E402 - after the packages it needs
from partway.partitioner.plan.model_file.model_format import NO_FACTS  # noqa: E402


def table(builder: flatbuffers.Builder, **fields: tuple[str, object]) -> int:
    """A table of fields named ``f3`` by their number; each a kind (byte or offset) and its value."""
    builder.StartObject(8)
    for name, (kind, value) in fields.items():
        number = int(name[1:])
        if kind == "byte":
            builder.PrependByteSlot(number, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
    return builder.EndObject()


def vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    """A vector of tables."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def floats(builder: flatbuffers.Builder, values: list[float]) -> int:
    """A vector of floats."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def metadata(mean: list[float], std: list[float], colour: int = 1, labels: str = "labels.txt") -> bytes:
    """The flatbuffer of a picture model whose output has labels."""
    b = flatbuffers.Builder(0)
    options = table(b, f0=("offset", floats(b, mean)), f1=("offset", floats(b, std)))
    unit = table(b, f0=("byte", 1), f1=("offset", options))
    content = table(b, f0=("byte", 2), f1=("offset", table(b, f0=("byte", colour))))
    picture = table(b, f3=("offset", content), f4=("offset", vector(b, [unit])))
    file = table(b, f0=("offset", b.CreateString(labels)), f2=("byte", 2))
    scores = table(b, f6=("offset", vector(b, [file])))
    main = table(b, f2=("offset", vector(b, [picture])), f3=("offset", vector(b, [scores])))
    b.Finish(table(b, f3=("offset", vector(b, [main]))), b"M001")
    return bytes(b.Output())


def file_with(content: bytes, path: Path, packed: dict[str, str]) -> SimpleNamespace:
    """What an opened TFLite file is to the reader of metadata, with files packed at its end."""
    path.write_bytes(b"the model")
    if packed:
        with zipfile.ZipFile(path, "a") as archive:
            for name, text in packed.items():
                archive.writestr(name, text)
    entry = SimpleNamespace(name=b"TFLITE_METADATA", buffer=1)
    buffers = [SimpleNamespace(data=None), SimpleNamespace(data=content)]
    return SimpleNamespace(path=path, model=SimpleNamespace(metadata=[entry], buffers=buffers))


def test_normalisation_colours_and_labels_are_read(tmp_path: Path) -> None:
    """One number or three; the labels lie in the archive behind the model."""
    made = file_with(metadata([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), tmp_path / "m", {"labels.txt": "a\nb\n"})
    facts = facts_of(made)
    assert facts.input == {"order": "RGB", "scale": 1.0, "mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0)}
    assert facts.labels == ("a", "b")


@pytest.mark.parametrize(("mean", "std"), [([], []), ([1.0], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0, 2.0])])
def test_a_normalisation_that_cannot_be_is_left_out(tmp_path: Path, mean: list[float], std: list[float]) -> None:
    """The rest counts."""
    assert facts_of(file_with(metadata(mean, std, colour=0), tmp_path / "m", {})).input == {}


def test_labels_that_are_not_packed_are_none(tmp_path: Path) -> None:
    """Metadata may name a file that is not there."""
    assert facts_of(file_with(metadata([0.0], [1.0]), tmp_path / "m", {"other.txt": "a"})).labels == ()


@pytest.mark.parametrize("name", ["metadata.json", "temp_meta.txt"])
def test_ultralytics_own_file_counts(tmp_path: Path, name: str) -> None:
    """JSON of newer versions, Python text of older ones."""
    entries = {"task": "detect", "names": {0: "cat", 1: "dog"}, "imgsz": [320, 320], "stride": 32}
    text = json.dumps(entries) if name.endswith("json") else str(entries)
    facts = facts_of(file_with(b"", tmp_path / "m", {name: text}))
    assert (facts.labels, facts.task, facts.input["fit"]) == (("cat", "dog"), "detect", "letterbox-114")


def test_a_file_without_metadata_says_nothing(tmp_path: Path) -> None:
    """Nor one whose archive is damaged."""
    assert facts_of(file_with(b"", tmp_path / "m", {})) == NO_FACTS
    (tmp_path / "m").write_bytes(b"PK\x05\x06" + bytes(18))
    plain = SimpleNamespace(path=tmp_path / "m", model=SimpleNamespace(metadata=None, buffers=None))
    assert facts_of(plain) == NO_FACTS


WHOLE = metadata([1.0], [2.0])


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(8, len(WHOLE)))
def test_damaged_metadata_never_breaks_a_model(tmp_path_factory, at: int, byte: int, length: int) -> None:
    """Any byte may be another, and the end may be missing: there are facts or none."""
    damaged = bytearray(WHOLE)
    damaged[at] = byte
    facts_of(file_with(bytes(damaged[:length]), tmp_path_factory.getbasetemp() / "damaged", {}))


@pytest.mark.parametrize(
    ("name", "labels", "first", "pictures"),
    [
        (
            "models/selfie_segmentation.tflite", 1, "selfie",
            {"order": "RGB", "scale": 1.0, "mean": (0.0,), "std": (255.0,)},
        ),
        (
            "tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite", 1001, "background",
            {"order": "RGB", "scale": 1.0, "mean": (127.5,), "std": (127.5,)},
        ),
    ],
)  # fmt: skip
def test_real_files_are_read(data: Path, name: str, labels: int, first: str, pictures: dict[str, object]) -> None:
    """Written by Google's own tools."""
    from partway.partitioner.slicing import open_model

    if not (data / name).is_file():
        pytest.skip(f"{data / name} is absent")
    facts = open_model(data / name).facts
    assert (len(facts.labels), facts.labels[0], facts.input) == (labels, first, pictures)
