"""Codecs are found by name: those that ship with Partway, those of a plan, and those of other installed packages."""

import json
import re
import string
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.extension import installed

from partway.errors import InputError
from partway.proto.codecs.interface import NAME
from partway.proto.codecs.packing import pack
from partway.proto.codecs.registry import (
    RAW,
    check_codec,
    codec,
    codec_help,
    codec_names,
    families,
    family_of,
    is_fitted,
    is_known,
    is_lossless,
    is_taken,
    own_families,
    packs,
    picture_codec,
    picture_names,
    tensor_codec,
)
from partway.proto.tensors import TensorSpec

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "edge-run.schema.json").read_text(encoding="utf-8"))["$defs"]["codec"]
SPEC = TensorSpec("x", "float32", (None, 4))
ACTIVATIONS = [
    *("raw", "fp16", "zstd", "q8", "q6", "q5", "q4", "q3", "c8", "c6", "c5", "c4", "s2", "s4", "s8", "s16"),
]
PICTURES = [*("u8", "png", "webp-lossless"), *(f"{kind}{quality}" for kind in ("jpeg", "webp") for quality in (95, 50))]


def every_name() -> list[str]:
    """Every name that some family of Partway's understands: its letters with any number, and the names without."""
    stems = [*string.ascii_lowercase, "jpeg", "webp", "fp"]
    numbered = [f"{stem}{number}" for stem, number in product(stems, range(1200))]
    spelled = [name for family in own_families() for name in family.names]
    return [RAW, *(name for name in dict.fromkeys([*numbered, *spelled]) if family_of(name) is not None)]


def test_the_names_that_calibration_measures() -> None:
    """Activation codecs, cheapest to compute first, and pictures apart."""
    assert codec_names()[: len(ACTIVATIONS)] == ACTIVATIONS
    assert codec_names({"t40": {}})[-1] == "t40"
    assert set(PICTURES) <= set(picture_names())


@pytest.mark.parametrize("name", [*ACTIVATIONS[1:], *PICTURES, "jpeg0", "jpeg100", "webp37"])
def test_a_codec_is_called_as_it_was_asked_for(name: str) -> None:
    """The name in frames is the name that found the codec, and one object serves every frame."""
    assert codec(name).name == name
    assert codec(name) is codec(name)
    assert is_taken(name)


@pytest.mark.parametrize("name", ["", "q7", "q10", "c3", "s3", "s32", "t0", "t1000", "q5 ", "Q5", "jpeg101", "q\u0665"])
def test_a_name_that_no_family_understands_is_unknown(name: str) -> None:
    """Neither other numbers nor digits of other scripts are codecs."""
    assert family_of(name) is None
    with pytest.raises(InputError, match="unknown codec"):
        codec(name)


@pytest.mark.parametrize(("wrong", "right"), [("fp61", "fp16"), ("webp-losless", "webp-lossless"), ("q55", "q5")])
def test_an_unknown_name_is_answered_with_a_suggestion(wrong: str, right: str) -> None:
    """The closest name comes first, all of them after it."""
    with pytest.raises(InputError, match=f"unknown codec '{wrong}'; did you mean '{right}'\\? known: auto, raw, fp16"):
        check_codec(wrong)


def test_a_long_name_is_refused_without_being_remembered() -> None:
    """A peer may send a megabyte as a codec's name; the error shows its beginning."""
    for find in (family_of, tensor_codec, picture_codec):
        assert find("q" * 1_000_000) is None
    with pytest.raises(InputError) as caught:
        codec("q" * 1_000_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["auto", RAW, "t40", "c5", "jpeg75", "u8"])
def test_the_command_line_takes_every_kind_of_codec(name: str) -> None:
    """Codecs of a plan are known by their names before the plan is read."""
    check_codec(name)


def test_fitted_codecs_are_in_plans() -> None:
    """The name is known, the codec is not made from it."""
    assert is_fitted("t40") and not is_fitted("q5")
    assert not is_taken("t40") and tensor_codec("t40") is None
    assert is_known("t40", {"t40": {}}) and not is_known("t40")
    with pytest.raises(InputError, match="t40 is fitted to one model"):
        codec("t40")


def test_pictures_and_activations_are_told_apart() -> None:
    """A picture's codec packs no activation, and no activation's codec a picture."""
    assert tensor_codec("jpeg75") is None and picture_codec("q5") is None
    assert is_lossless("zstd") and is_lossless(RAW) and not is_lossless("q5") and not is_lossless("png")
    assert packs("q5", SPEC) and not packs("jpeg75", SPEC) and not packs("zip", SPEC) and packs(RAW, SPEC)
    with pytest.raises(InputError, match="unknown codec 'jpeg75'"):
        pack("jpeg75", "x", np.zeros(1, np.float32))


def test_the_schema_accepts_every_codec() -> None:
    """What --codec takes is what the JSON of a run may hold."""
    names = every_name()
    assert {"raw", "c5", "c4", "q3", "s16", "t15", "jpeg100", "webp0", "png", "u8", "webp-lossless"} <= set(names)
    assert [name for name in names if re.search(SCHEMA["pattern"], name) is None] == []


def test_the_schema_and_the_documentation_follow_the_registry() -> None:
    """The schema's pattern is the one that every codec's name obeys; its text and docs/codecs.md list the families."""
    assert SCHEMA["pattern"] == f"^{NAME}$"
    assert codec_help() in SCHEMA["description"]
    table = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8").partition("\n\n## ")[0]
    assert [family.label for family in own_families() if f"`{family.label}`" not in table] == []
    measured = [name for family in own_families() if not family.pictures for name in family.names]
    assert [name for name in measured if f"`{name}`" not in table] == []


def test_what_ships_is_registered_like_any_other() -> None:
    """pyproject.toml lists the families; no two of them understand one name."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert len(own_families()) == len(listed["partway.codecs"])
    assert set(own_families()) <= set(families())
    assert [n for n in every_name()[1:] if sum(family.matches(n) for family in own_families()) != 1] == []


EXTENSION = """
import numpy as np
from partway.proto.codecs.interface import CodecFamily


class Inverted:
    lossless = True

    def __init__(self, name):
        self.name = name

    def encode(self, array):
        return (~np.ascontiguousarray(array).view(np.uint8)).tobytes()

    def decode(self, body, dtype, shape):
        return (~np.frombuffer(body, np.uint8)).view(dtype).reshape(shape)

    def packs(self, spec):
        return spec.dtype == "float32"

    def fits(self, array):
        return array.dtype == np.float32


FAMILY = CodecFamily("gridN", "grid[1-9]", "every bit turned over", Inverted, ("grid4",))
SHADOW = CodecFamily("q5", "q5", "another q5", Inverted)
"""
SCRIPT = """
import numpy as np
from partway.proto.codecs.packing import pack, unpack
from partway.proto.codecs.registry import codec, codec_names, check_codec
from partway.proto.codecs.uniform import Levels
from partway.proto.tensors import TensorSpec

array = np.array([[0.25, -1.5, 2.0]], np.float32)
head, data = pack("grid4", "x", array)
assert head.datatype == "BYTES"
assert unpack(head, bytes(data), TensorSpec("x", "float32", (None, 3))).tolist() == array.tolist()
check_codec("grid7")
assert isinstance(codec("q5"), Levels)
assert "grid4" in codec_names()
"""


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command with the packages of ``folder`` installed."""
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=installed(folder), timeout=120, check=False
    )


def test_a_codec_of_another_package_packs_and_unpacks(tmp_path: Path) -> None:
    """An entry point is enough; the names of Partway stay its own, and what is no family is left out."""
    entries = {"grid": "grids:FAMILY", "shadow": "grids:SHADOW", "number": "grids:np", "absent": "nowhere:X"}
    folder = tmp_path / "site"
    installed(folder, "grids", EXTENSION, {"partway.codecs": entries})
    done = run("-c", SCRIPT, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "is no CodecFamily" in done.stderr
    assert "nowhere" in done.stderr


def test_a_codec_of_another_package_serves_a_run(tmp_path: Path) -> None:
    """edge-run sends its frames through it to an embedded cloud, and the JSON names it as the schema allows."""
    folder, report = tmp_path / "site", tmp_path / "run.json"
    installed(folder, "grids", EXTENSION, {"partway.codecs": {"grid": "grids:FAMILY"}})
    options = ("--model", "mnist", "--cloud", "embedded", "--split", "1", "--codec", "grid9", "--frames", "2")
    done = run(
        "-c",
        "from partway.edge.main import main; raise SystemExit(main())",
        *options,
        "--json",
        str(report),
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    frames: list[Any] = json.loads(report.read_text())["frames"]
    assert {frame["codec"] for frame in frames} == {"grid9"}
    assert all(re.search(SCHEMA["pattern"], frame["codec"]) for frame in frames)
