"""What is in the images, and above all what is not."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import tarfile
from functools import cache

import pytest
from tests.containers.podman import podman

IMAGES = ("edge:onnx", "edge:litert", "cloud:cpu", "train:cpu")
EVERY = (*IMAGES, "edge:onnx-arm64", "edge:litert-arm64")
SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh"}
TOOLS = {"pip", "pip3", "gcc", "cc", "ld", "apt", "apt-get", "dpkg", "su", "sudo", "mount", "curl", "wget", "perl"}
UNWANTED = ("/tests/", "/pip/", "/setuptools/", "/include/", "/ensurepip/")


@cache
def files_of(image: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Every file of every layer, by path: a secret that a later layer hides is still in an earlier one."""
    saved = subprocess.run(
        ["podman", "save", f"localhost/partway-{image}"], check=True, capture_output=True, timeout=180
    )
    found = {}
    with tarfile.open(fileobj=io.BytesIO(saved.stdout)) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                for file in files:
                    body = files.extractfile(file).read() if file.isfile() and file.size < 1 << 20 else b""
                    found[f"/{file.name}"] = (file, body)
    return found


@pytest.mark.parametrize("image", EVERY)
def test_no_shell_no_tools_no_setuid_no_tests_no_headers(image):
    """An image holds what the program needs: no file gives rights, runs a script, builds or tests."""
    files = files_of(image)
    assert len(files) > 500, "this looked into nothing"
    for path, (file, _) in files.items():
        assert not (file.isfile() and file.mode & (stat.S_ISUID | stat.S_ISGID)), path
        name = path.rpartition("/")[2]
        if file.mode & 0o111 and not file.isdir():
            assert name not in SHELLS | TOOLS, path
        if not image.startswith("train"):  # torch has packages by these names that it imports
            assert not any(part in f"{path}/" for part in UNWANTED), path
        assert not path.endswith((".h", ".hpp", ".c", ".a", ".pyx")), path


@pytest.mark.parametrize("image", EVERY)
def test_no_secret_and_no_setting_of_the_building_machine_is_in_any_layer(image):
    """Neither pip's configuration nor a certificate bundle nor a key got in, nor into the image's history."""
    settings = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    words = {line.partition("=")[2].strip("' ") for line in settings.stdout.splitlines()}
    needles = [
        w.encode() for word in words for w in word.split() if "/" in w and w != "/etc/ssl/certs/ca-certificates.crt"
    ]
    needles += [b"-----BEGIN PRIVATE KEY", b"-----BEGIN RSA PRIVATE", b"partway-ca.pem"]
    for path, (_, body) in files_of(image).items():
        assert not path.endswith(("pip.conf", "ca-certificates.crt", ".netrc", ".pypirc", "id_rsa")), path
        for needle in needles:
            assert needle not in body, (path, needle)
    history = podman("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"localhost/partway-{image}").stdout
    for needle in needles:
        assert needle.decode() not in history


@pytest.mark.parametrize("image", EVERY)
def test_nobody_is_root_and_the_image_says_how_it_ends_and_how_it_is(image):
    """User, stop signal and health check are part of the image, and none of them needs a shell."""
    found = json.loads(podman("image", "inspect", f"localhost/partway-{image}").stdout)[0]
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] in ("SIGTERM", "15")
    check = found["Healthcheck"]["Test"]  # where podman puts it
    assert check[:1] == (["NONE"] if image.startswith("train") else ["CMD"])
    assert not any("TOKEN" in variable for variable in config["Env"])


@pytest.mark.parametrize("image", EVERY)
def test_the_bill_of_materials_names_what_is_there(image):
    """Every installed Python package and every Debian package is a component, with version and purl."""
    files = files_of(image)
    (bill,) = [json.loads(body) for path, (_, body) in files.items() if path.startswith("/usr/share/sbom/")]
    assert bill["bomFormat"] == "CycloneDX"
    named = {part["purl"].split("@")[0].rpartition("/")[2] for part in bill["components"]}
    debian = {path.rpartition("/")[2] for path in files if "/dpkg/status.d/" in path}
    python = {
        path.split("/")[-2].split("-")[0].lower().replace("_", "-")
        for path in files
        if path.endswith(".dist-info/METADATA")
    }
    assert len(debian) > 8 and len(python) > 10
    assert debian | {"partway"} <= named
    assert {name.replace(".", "-") for name in python} <= {name.replace(".", "-") for name in named}
