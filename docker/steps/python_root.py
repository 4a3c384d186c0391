"""Installs wheels into an image's root: pinned and hashed, for any architecture, and without what only builds or tests.

    python3 python_root.py ARCH ROOT WHEEL REQUIREMENTS [--sources]

WHEEL is Partway's own; REQUIREMENTS names every other package with its digests (scripts/lock-images). Bytecode is
compiled here and never checked against a source again, so that it neither depends on times nor is written when a
container runs. The sources themselves stay out, but Partway's (with --sources they stay: torch reads its own).
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = "usr/local/lib/python3.11/dist-packages"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = ("_2_17", "_2_24", "_2_26", "_2_27", "_2_28", "_2_31", "_2_34", "_2_35", "_2_36")
"""Debian 12 has 2.36; wheels are named by the oldest that they run on."""
ANYWHERE = (
    "**/tests", "**/testing/tests", "**/include", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.h", "**/*.hpp", "**/*.c",
    "**/*.a", "**/*.f90", "**/*.lib", "**/__pycache__", "**/RECORD", "**/INSTALLER", "**/REQUESTED",
    "**/direct_url.json", "**/*.map",
)  # fmt: skip
UNUSED = (
    "bin", "numpy/f2py", "numpy/distutils", "numpy/_pyinstaller", "numpy/doc", "numpy/conftest.py", "numpy/_core/lib",
    "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools", "onnxruntime/datasets",
    "onnxruntime/backend", "onnxruntime/capi/training", "zstandard/_cffi*.so", "zstandard/backend_cffi.py",
    "zstandard/_rust*.so", "ai_edge_litert/libLiteRtWebGpuAccelerator.so", "ai_edge_litert/tools",
    "ai_edge_litert/vendors", "ai_edge_litert/aot",
    "PIL/_imagingft*", "PIL/_imagingcms*", "PIL/_avif*", "PIL/_imagingtk*", "PIL/_imagingmath*",
    "pillow.libs/libavif*", "pillow.libs/libfreetype*", "pillow.libs/libharfbuzz*", "pillow.libs/liblcms2*",
    "pillow.libs/libbrotli*", "pillow.libs/libpng16*",
    "torch/bin/[!t]*", "torch/bin/test*", "torch/share", "torch/lib/*_test*",
    "pygments/lexers/[!_]*", "google/protobuf/compiler", "numpy/_core/*_tests*.so", "numpy/random/lib",
    "sympy/*/benchmarks", "numpy/typing/mypy_plugin.py",
)  # fmt: skip
"""Tools, other languages' halves, formats and accelerators that no part of Partway loads."""
STRIPPED = ("zstandard/backend_c*.so",)
"""Shipped with their debugging symbols."""


def main(arch: str, root: Path, wheel: Path, requirements: Path, sources: bool) -> None:
    """Everything, in order."""
    target = root / PACKAGES
    _install(arch, target, ["--require-hashes", "-r", str(requirements)])
    _install(arch, target, ["--no-index", str(wheel)])
    for pattern in (*ANYWHERE, *UNUSED):
        for path in sorted(target.glob(pattern), reverse=True):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
    for pattern in STRIPPED:
        for path in target.glob(pattern):
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
    _commands(root)
    _compile(root, sources)


def _install(arch: str, target: Path, what: list[str]) -> None:
    machine = MACHINES[arch]
    platforms = [f"--platform=manylinux{version}_{machine}" for version in ("2014", *GLIBC)]
    abis = [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    quiet = ["--disable-pip-version-check", "--root-user-action=ignore", "--no-warn-script-location"]
    python = ["--python-version=3.11", "--implementation=cp", *abis, *platforms]
    subprocess.run([*pip, *quiet, *python, "--target", str(target), "--upgrade", *what], check=True)


def _commands(root: Path) -> None:
    """The three commands; nothing else that a package would put on the path."""
    for name, module in (("edge-run", "edge.main"), ("cloud-serve", "cloud.main"), ("partway", "cli.main")):
        script = root / "usr/bin" / name
        script.write_text(
            f"#!/usr/bin/python3 -I\nimport sys\n\nfrom partway.{module} import main\n\nsys.exit(main())\n"
        )
        script.chmod(0o755)


def _compile(root: Path, sources: bool) -> None:
    """Bytecode beside or, where sources stay out, in place of every module."""
    for cache in root.rglob("__pycache__"):
        shutil.rmtree(cache)
    folders = [root / "usr/lib/python3.11", *(path for path in (root / PACKAGES).iterdir() if path.name != "partway")]
    for path in folders:
        _compiled(path, root, legacy=not sources)
        for source in [] if sources else [*path.rglob("*.py"), *([path] if path.suffix == ".py" else [])]:
            if source.with_suffix(".pyc").exists():  # what is no Python of this version stays as it is
                source.unlink()
    _compiled(root / PACKAGES / "partway", root, legacy=False)


def _compiled(path: Path, root: Path, legacy: bool) -> None:
    checked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    how = {"quiet": 2, "legacy": legacy, "stripdir": str(root), "prependdir": "/", "invalidation_mode": checked}
    if path.is_dir():
        compileall.compile_dir(path, maxlevels=30, **how)
    elif path.suffix == ".py":
        compileall.compile_file(path, **how)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), "--sources" in sys.argv)
