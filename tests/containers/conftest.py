"""The images, run for real with podman. Only `make test-images` collects these: building takes minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.podman import Network, podman

collect_ignore_glob = [] if os.environ.get("PARTWAY_IMAGES") == "1" else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def containers_conf() -> Iterator[None]:
    os.environ["CONTAINERS_CONF"] = str(Path(__file__).with_name("containers.conf"))
    yield
    del os.environ["CONTAINERS_CONF"]


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of containers, gone after the test with all that run on it."""
    made = Network()
    yield made
    made.close()


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token, and a certificate for the cloud's address on the test's network; readable by uid 10001."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "token").write_text("a" * 40 + "\n")
    (folder / "wrong").write_text("b" * 40 + "\n")
    podman_free = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cloud"]
    names = f"subjectAltName=DNS:cloud,IP:{Network.CLOUD}"
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-addext", names]
    import subprocess

    subprocess.run([*podman_free, *files], check=True, capture_output=True)
    folder.chmod(0o755)
    for file in folder.iterdir():
        os.chown(file, 10001, 10001)
        file.chmod(0o400)
    return folder


@pytest.fixture(scope="session")
def architecture() -> str:
    """This machine's, as images name it."""
    return podman("version", "--format", "{{.Client.OsArch}}").stdout.strip().rpartition("/")[2]
