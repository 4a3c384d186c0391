"""Installs wheels into an image's root: pinned and hashed, for any architecture, and without what only builds or tests.

    python3 python_root.py ARCH ROOT WHEEL REQUIREMENTS

WHEEL is Partway's own; REQUIREMENTS names every other package with its digests (scripts/lock-images). Bytecode is compiled
here and never checked against its source again, so that it neither depends on times nor is written when a container runs.
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
GLIBC = ("2_17", "2_24", "2_26", "2_27", "2_28", "2_31", "2_34", "2_35", "2_36")
"""Debian 12 has 2.36; wheels are named by the oldest that they run on."""
ANYWHERE = (
    "**/tests", "**/testing/tests", "**/include", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.h", "**/*.hpp", "**/*.c",
    "**/*.a", "**/*.f90", "**/*.lib", "**/__pycache__", "**/RECORD", "**/INSTALLER", "**/REQUESTED", "**/direct_url.json",
    "**/*.map",
)  # fmt: skip
UNUSED = (
    "bin", "numpy/f2py", "numpy/distutils", "numpy/_pyinstaller", "numpy/doc", "numpy/conftest.py", "numpy/_core/lib",
    "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools", "onnxruntime/datasets",
    "onnxruntime/backend", "onnxruntime/capi/training", "zstandard/_cffi*.so", "zstandard/backend_cffi.py",
    "zstandard/_rust*.so", "ai_edge_litert/libLiteRtWebGpuAccelerator.so", "ai_edge_litert/tools", "ai_edge_litert/vendors",
    "ai_edge_litert/aot", "PIL/_imagingft*", "PIL/_imagingcms*", "PIL/_avif*", "PIL/_imagingtk*", "PIL/_imagingmath*",
    "pillow.libs/libavif*", "pillow.libs/libfreetype*", "pillow.libs/libharfbuzz*", "pillow.libs/liblcms2*",
    "pillow.libs/libbrotli*", "pillow.libs/libpng16*",
    "torch/bin", "torch/share", "torch/lib/*_test*",
    "pygments/lexers/[!_]*", "google/protobuf/compiler", "numpy/_core/*_tests*.so", "numpy/random/lib", "sympy/*/benchmarks",
)  # fmt: skip
"""Tools, other languages' halves, formats and accelerators that no part of Partway loads."""
STRIPPED = ("zstandard/backend_c*.so",)
"""Shipped with their debugging symbols."""


def main(arch: str, root: Path, wheel: Path, requirements: Path) -> None:
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
    _compile(root)


def _install(arch: str, target: Path, what: list[str]) -> None:
    machine = MACHINES[arch]
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in GLIBC] + [f"--platform=manylinux2014_{machine}"]
    abis = [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    quiet = ["--disable-pip-version-check", "--root-user-action=ignore", "--no-warn-script-location"]
    python = ["--python-version=3.11", "--implementation=cp", *abis, *platforms]
    subprocess.run([*pip, *quiet, *python, "--target", str(target), "--upgrade", *what], check=True)


def _commands(root: Path) -> None:
    """The three commands; nothing else that a package would put on the path."""
    for name, module in (("edge-run", "edge.cli"), ("cloud-serve", "cloud.cli"), ("partway", "__main__")):
        script = root / "usr/bin" / name
        script.write_text(f"#!/usr/bin/python3 -I\nimport sys\n\nfrom partway.{module} import main\n\nsys.exit(main())\n")
        script.chmod(0o755)


def _compile(root: Path) -> None:
    shutil.rmtree(root / "usr/lib/python3.11/__pycache__", ignore_errors=True)
    for folder in ("usr/lib/python3.11", PACKAGES):
        compileall.compile_dir(
            root / folder,
            quiet=2,  # some packages ship templates and code for other Pythons
            maxlevels=30,
            stripdir=str(root),
            prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            optimize=-1,
        )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
