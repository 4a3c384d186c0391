"""That a build can be repeated: built anew, without a cache, an image has the same files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tree(image: str) -> dict[str, tuple]:
    """Path -> kind, mode, owner, time and digest of everything in the image's file system."""
    made = subprocess.run(["podman", "create", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        with subprocess.Popen(["podman", "export", made], stdout=subprocess.PIPE) as exported:
            found = {}
            with tarfile.open(fileobj=exported.stdout, mode="r|") as files:
                for file in files:
                    body = files.extractfile(file).read() if file.isfile() else file.linkname.encode()
                    kept = (file.type, file.mode, file.uid, file.gid, file.mtime)
                    found[file.name] = (*kept, hashlib.sha256(body).hexdigest())
    finally:
        subprocess.run(["podman", "rm", made], check=True, capture_output=True)
    return found


def test_built_twice_the_files_are_the_same(architecture):
    """Modes, owners, times and contents of every file, bytecode included."""
    name = f"edge-litert-{architecture}"
    first = tree(f"localhost/partway-edge:litert-{architecture}")
    options = {"PARTWAY_BUILD_OPTIONS": "--no-cache", "PARTWAY_IMAGE_SUFFIX": "-again"}
    try:
        subprocess.run([ROOT / "scripts/images", name], check=True, env={**os.environ, **options}, timeout=600)
        second = tree(f"localhost/partway-edge:litert-{architecture}-again")
    finally:
        subprocess.run(["podman", "rmi", f"localhost/partway-edge:litert-{architecture}-again"], check=False)
    assert len(first) > 1000
    skip = {
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "run",
        "dev",
        "proc",
        "sys",
        "etc",
    }  # podman's, per container
    changed = {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)} - skip
    assert not changed, sorted(changed)[:20]
