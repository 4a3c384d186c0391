"""The Python scripts of the repository are run by hand and seldom: they must compile, and find what they import."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = ("partway", "benchmarks", "tests")


def python_scripts() -> list[Path]:
    """Every file in ``scripts`` that is Python by its suffix or its first line."""
    files = (path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file())
    return [path for path in files if path.suffix == ".py" or path.read_bytes().startswith(b"#!/usr/bin/env python3")]


def missing_imports(tree: ast.AST) -> list[str]:
    """The names of this repository that are imported anywhere in the program and do not exist."""
    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(name.name, None) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            wanted = [(node.module, name.name) for name in node.names]  # type: ignore[misc]
        else:
            continue
        for module, name in wanted:
            if module.partition(".")[0] in OWN and not _exists(module, name):
                missing.append(module if name is None else f"{module}.{name}")
    return missing


def _exists(module: str, name: str | None) -> bool:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OWN:
            return False
        pytest.skip(f"{module} needs {error.name}")
    if name is None or hasattr(found, name):
        return True
    return hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("script", python_scripts(), ids=lambda path: path.name)
def test_a_script_compiles_and_finds_what_it_imports(script: Path) -> None:
    """A name that was moved or renamed would be noticed by the next person who builds the digit model."""
    tree = ast.parse(script.read_text(encoding="utf-8"), str(script))
    compile(tree, str(script), "exec")
    assert missing_imports(tree) == []


def test_scripts_are_found_and_a_missing_name_is_noticed() -> None:
    """The check can fail: for a name in a module, for a module, and inside a function."""
    names = {path.name for path in python_scripts()}
    assert {"build-mnist", "build-mnist-litert", "house", "hatch_build.py"} <= names
    assert "check" not in names
    program = """
from partway.errors import InputError, NoSuchError
from partway.partitioner import slicing
import partway.nowhere
def main():
    from partway.partitioner.calibrate.accuracy import measure_codecs
"""
    wanted = ["partway.errors.NoSuchError", "partway.nowhere", "partway.partitioner.calibrate.accuracy.measure_codecs"]
    assert missing_imports(ast.parse(program)) == wanted
