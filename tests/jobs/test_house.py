"""``scripts/house`` on small made-up trees: each kind of fault is found, and a clean tree has none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

pytest.importorskip("grimp")
HOUSE = Path(__file__).parents[2] / "scripts" / "house"
PROJECT = """
[tool.importlinter]
root_package = "barn"
[[tool.importlinter.contracts]]
name = "down only"
type = "layers"
layers = ["barn.roof", "barn.walls | barn.doors", "barn.floor"]
[[tool.importlinter.contracts]]
name = "within the walls"
type = "layers"
containers = ["barn.walls"]
layers = ["brick", "mortar"]
"""
EXEMPT = ("__init__", "__main__")
CLEAN = {
    "__init__": "",
    "roof/__init__": "",
    "roof/tile": "from barn.walls import brick\nimport barn.floor\n",
    "walls/__init__": "",
    "walls/brick": "from barn.walls.mortar import LIME\n",
    "walls/mortar": "LIME = 1\n",
    "doors": "import barn.floor\n",
    "floor": "",
}


def house(root: Path, files: Mapping[str, str], untested: Collection[str] = ()) -> tuple[int, str, list[str]]:
    """Exit code, table and faults of a tree of these modules, each with its text and, unless ``untested``, a test."""
    (root / "pyproject.toml").write_text(PROJECT)
    for name, text in files.items():
        path = root / "src" / "barn" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.stem not in EXEMPT and name not in untested:
            test = root / "tests" / Path(name).with_name(f"test_{path.stem}.py")
            test.parent.mkdir(parents=True, exist_ok=True)
            test.write_text("")
    command = [sys.executable, str(HOUSE), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr.splitlines()


def figures(table: str, folder: str) -> list[int]:
    """Entries, lines, imports down, imports up and circles of a folder in the table."""
    (line,) = [line for line in table.splitlines() if line.split()[:1] == [folder]]
    return [int(word) for word in line.split()[1:]]


def test_a_clean_tree_has_no_fault(tmp_path: Path) -> None:
    """The table counts entries, lines and imports down."""
    code, table, faults = house(tmp_path, CLEAN)
    assert (code, faults) == (0, [])
    assert figures(table, "barn") == [4, 1, 1, 0, 0]
    assert figures(table, "barn.walls") == [2, 2, 1, 0, 0]
    assert figures(table, "barn.roof") == [1, 2, 2, 0, 0]


@pytest.mark.parametrize(
    ("module", "test"),
    [("floor", "tests/test_floor.py"), ("walls/brick", "tests/walls/test_brick.py")],
)
def test_a_module_without_a_test_file_of_its_name_fails(module: str, test: str, tmp_path: Path) -> None:
    """The sentence says which file to write; a test file elsewhere does not count."""
    elsewhere = tmp_path / "tests" / "jobs" / Path(test).name
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text("")
    code, _, faults = house(tmp_path, CLEAN, untested=[module])
    name = f"barn.{module.replace('/', '.')}"
    assert (code, faults) == (1, [f"house: {name} has no test file of its name: write {test}"])
    (tmp_path / test).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / test).write_text("")
    assert house(tmp_path, CLEAN, untested=[module])[0] == 0


def test_a_package_and_its_main_need_no_test_file(tmp_path: Path) -> None:
    """``__init__`` and ``__main__`` are exempt, at the top and in a room."""
    assert house(tmp_path, CLEAN | {"__main__": "", "walls/__main__": ""})[0] == 0
    assert not list(tmp_path.glob("tests/**/test___*.py"))


@pytest.mark.parametrize(
    ("module", "text", "fault"),
    [
        ("floor", "def f():\n    import barn.roof.tile\n", "barn.floor imports barn.roof.tile, which lies above it"),
        (
            "walls/mortar",
            "from barn.walls import brick\n",
            "barn.walls.mortar imports barn.walls.brick, which lies above",
        ),
        ("doors", "import barn.walls.mortar\n", "barn.doors imports barn.walls.mortar, which lies above it"),
    ],
)
def test_an_import_up_the_layers_fails(module: str, text: str, fault: str, tmp_path: Path) -> None:
    """Also inside a function, inside a container of layers, and between strangers of one layer."""
    code, table, faults = house(tmp_path, CLEAN | {module: text})
    assert code == 1
    assert any(line.startswith(f"house: {fault}") for line in faults), faults
    folder = "barn.walls" if module.startswith("walls") else "barn"
    assert figures(table, folder)[3] == 1


def test_a_circle_fails(tmp_path: Path) -> None:
    """Modules of one folder by way of a third, and a folder whose ``__init__`` imports a module that imports it."""
    ring = {"walls/a": "from barn.walls import b\n", "walls/b": "from barn.walls import c\n"}
    ring |= {"walls/c": "def f():\n    from barn.walls.a import x\n"}
    shop = {"doors/__init__": "from barn.doors.knob import turn\n", "doors/knob": "from barn.doors import turn\n"}
    files = {name: text for name, text in CLEAN.items() if name != "doors"}
    code, table, faults = house(tmp_path, files | ring | shop)
    assert code == 1
    assert any("circle of barn.walls.a, barn.walls.b, barn.walls.c: barn.walls.a -> barn.walls.b" in f for f in faults)
    assert any("circle of barn.doors, barn.doors.knob" in fault for fault in faults)
    assert (figures(table, "barn.walls")[4], figures(table, "barn.doors")[4]) == (1, 1)


def test_folders_that_import_each_other_are_a_circle(tmp_path: Path) -> None:
    """No two of their modules do, but the folders cannot be understood one by one."""
    files = {"__init__": "", "x/__init__": "", "y/__init__": "", "x/a": "import barn.y.a\n", "x/b": ""}
    files |= {"y/a": "", "y/b": "import barn.x.b\n", "roof": "", "walls/__init__": "", "doors": "", "floor": ""}
    code, _, faults = house(tmp_path, files)
    assert code == 1
    assert faults == ["house: circle of barn.x, barn.y: barn.x.a -> barn.y.a; barn.y.b -> barn.x.b"]


def test_an_import_for_type_checkers_only_does_not_count(tmp_path: Path) -> None:
    """It is not there when the program runs."""
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from barn.roof.tile import x\n"
    assert house(tmp_path, CLEAN | {"floor": text})[0] == 0


def test_a_folder_of_fifteen_entries_fails(tmp_path: Path) -> None:
    """Fourteen are allowed; ``__init__`` is not counted, a folder and a data file are."""
    crowd = {f"walls/m{number}": "" for number in range(10)}
    crowd |= {"walls/sub/__init__": ""}
    walls = tmp_path / "src" / "barn" / "walls"
    walls.mkdir(parents=True)
    (walls / "data.txt").write_text("")
    assert house(tmp_path, CLEAN | crowd)[0] == 0
    code, table, faults = house(tmp_path, CLEAN | crowd | {"walls/one_more": ""})
    assert code == 1
    assert faults == ["house: barn.walls has 15 entries, at most 14 are allowed: group some in a folder"]
    assert figures(table, "barn.walls")[0] == 15
