"""docs/raspberry-pi.md, typed word by word into a fresh Debian; its last section into this machine's podman."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.containers.podman import podman

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("PARTWAY_IMAGE_CACHE", Path.home() / ".cache/partway-images"))
BASE = "docker.io/library/debian:bookworm-slim"
BUILD = "--isolation=chroot --network=host --pull=never --format=docker --timestamp=1767225600"
"""What podman needs for a build where it may make no namespaces, and what finds the layers of `make images` again."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What git has of this tree, and nothing that was built in it."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], check=True, capture_output=True, timeout=60)
    folder = tmp_path / "partway"
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True, timeout=60)
    return folder


@pytest.fixture
def mounts() -> list[str]:
    """pip's settings on this machine and its certificates, as scripts/images mounts them."""
    return (CACHE / "mounts").read_text().split()


def test_every_command_of_the_page_works_in_a_fresh_debian(checkout, mounts):
    """Packages, service, pictures, profile, and all away again; a service manager's part is played by a script."""
    options = ["--rm", "--network=host", "-v", f"{checkout}:/partway", "-w", "/partway", *mounts]
    done = podman("run", *options, BASE, "scripts/follow-pi-docs", limit_s=420)
    assert "20 commands, all work as written" in done.stdout, done.stdout[-3000:]
    assert "removed, settings and pictures included" in done.stdout


def test_the_page_s_container_section_works_as_written(checkout, mounts, tmp_path, monkeypatch):
    """Built and run by the two commands; podman on the path adds only what a build without namespaces needs."""
    real, stand_in = shutil.which("podman"), tmp_path / "bin/podman"
    stand_in.parent.mkdir()
    options = " ".join([BUILD, *mounts])
    stand_in.write_text(
        f'#!/bin/sh\nverb=$1; shift\n[ "$verb" = build ] && set -- {options} "$@"\nexec {real} "$verb" "$@"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    try:
        command = [checkout / "scripts/follow-pi-docs", "--part", "container"]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=420, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "30 frames answered (30 by the device)" in done.stdout
        assert "2 commands, all work as written" in done.stdout
    finally:
        podman("rmi", "partway-edge", check=False)
