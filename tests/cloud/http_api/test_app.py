"""Health, models and metrics over HTTP, of a real server on a real port."""

import asyncio
import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.cloud.conftest import small_models
from tests.support.certs import authority
from tests.support.pages import Pages
from tests.support.served import Cloud, assert_readable

from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.access.certificates import Certificates
from partway.cloud.http_api.app import HttpServer
from partway.errors import InputError


def test_health_tells_a_drain(pages: Pages) -> None:
    """A balancer is told before the port closes."""
    assert pages.client.get("/v2/health/live").json() == {"live": True}
    assert pages.client.get("/v2/health/ready").status_code == 200
    pages.cloud.server.inference.ready = False
    assert pages.client.get("/v2/health/ready").status_code == 503
    assert pages.client.get("/v2/models/mnist/ready").status_code == 503
    assert pages.client.get("/v2/health/live").status_code == 200


def test_models_are_described(pages: Pages) -> None:
    """Inputs by name, type and shape; an unknown model is a sentence."""
    told = pages.client.get("/v2/models/mnist").json()
    assert told["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
    unknown = pages.client.get("/v2/models/mnisu")
    assert unknown.status_code == 404
    assert_readable(unknown.json()["error"])
    assert pages.client.get("/v2").json()["name"] == "partway"
    assert pages.client.post("/metrics").status_code == 405


def test_a_token_is_wanted_and_tls_is_spoken(tmp_path: Path) -> None:
    """As over gRPC: the same token, the same certificate; health is for everybody."""
    made = authority(tmp_path)
    access = AccessPolicy("secret", Certificates(*made.issue("cloud")))
    with Cloud(small_models(), access=access) as cloud:
        pages = Pages(cloud)
        context = ssl.create_default_context(cafile=str(made.ca))
        with httpx.Client(base_url=f"https://127.0.0.1:{pages.http.port}", verify=context, timeout=30) as client:
            assert client.get("/v2/health/ready").status_code == 200
            for headers in ({}, {"Authorization": "Bearer other"}):
                refused = client.get("/metrics", headers=headers)
                assert refused.status_code == 401
                assert_readable(refused.json()["error"])
            assert client.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200
        pages.client.close()
        cloud.run(pages.http.stop())


def test_a_port_that_is_taken_is_told(pages: Pages) -> None:
    """The sentence names the port and the option."""

    async def start() -> None:
        await HttpServer(pages.cloud.server).start("127.0.0.1", pages.http.port)

    with pytest.raises(InputError, match=f"port {pages.http.port} on 127.0.0.1 is taken.*--http-port"):
        asyncio.run(start())


def test_the_command_serves_both_and_ends() -> None:
    """gRPC and HTTP from one process, until SIGTERM."""
    command = [sys.executable, "-m", "partway.cloud", "--grpc-port", "0", "--http-port", "0", "--no-advertise"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+) \(HTTP", process.stdout.readline())
        assert found is not None
        assert httpx.get(f"http://127.0.0.1:{found[1]}/v2/health/ready", timeout=30).status_code == 200
        process.terminate()
        assert process.wait(30) == 0
