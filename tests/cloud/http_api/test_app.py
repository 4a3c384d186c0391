"""Health, models and metrics over HTTP, of a real server on a real port."""

import asyncio
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.cloud.conftest import small_models
from tests.support.certs import authority
from tests.support.served import Client, Cloud, assert_readable, request

from partway.cloud.access.authentication import AccessPolicy
from partway.cloud.access.certificates import Certificates
from partway.cloud.http_api.app import HttpServer
from partway.cloud.models.repository import ServedModel
from partway.errors import InputError
from partway.proto import messages as m

X = np.ones((1, 4), np.float32)


class Pages:
    """A cloud with its pages."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.http: HttpServer = cloud.run(self._start())
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.http.port}", timeout=30)

    async def _start(self) -> HttpServer:
        made = HttpServer(self.cloud.server)
        await made.start("127.0.0.1", 0)
        return made

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Every sample by name and labels' values."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        order = ("model", "cut", "codec", "status")
        return {
            (sample.name, tuple(sample.labels[name] for name in order if name in sample.labels)): sample.value
            for each in families
            for sample in each.samples
        }


@pytest.fixture
def pages(mnist: ServedModel) -> Iterator[Pages]:
    with Cloud({**small_models(), "mnist": mnist}) as cloud:
        made = Pages(cloud)
        yield made
        made.client.close()
        cloud.run(made.http.stop())


def test_frames_and_refusals_are_counted(pages: Pages) -> None:
    before = pages.numbers()
    assert ("partway_frames_total", ("double", "0", "raw")) not in before
    with Client(pages.cloud.port) as client:
        for _ in range(3):
            client.infer(request("double", {"x": X}))
        client.stream([request("slow", {"x": X}, str(i)).SerializeToString() for i in range(4)])
        client.refusal("ModelInfer", request("nowhere", {"x": X}).SerializeToString())
        client.stream([request("slowly-broken", {"x": X}).SerializeToString(), b"\xff"])
    numbers = pages.numbers()
    assert numbers["partway_frames_total", ("double", "0", "raw")] == 3
    assert numbers["partway_frames_total", ("slow", "0", "raw")] == 4
    assert numbers["partway_frame_suffix_seconds_total", ("slow", "0", "raw")] > 0
    assert numbers["partway_refused_total", ("", "NOT_FOUND")] == 1
    assert numbers["partway_refused_total", ("slowly-broken", "INTERNAL")] == 1
    assert numbers["partway_refused_total", ("", "INVALID_ARGUMENT")] == 1
    assert numbers["partway_ready", ()] == 1
    assert numbers["partway_queue_seconds", ()] >= 0
    assert numbers["process_open_fds", ()] > 0


def test_audits_are_counted(pages: Pages, mnist: ServedModel) -> None:
    x = {mnist.plan.inputs[0]: np.zeros((1, 1, 28, 28), np.float32)}
    frame = request("mnist", x).SerializeToString()
    with Client(pages.cloud.port) as client:
        audit = m.AuditRequest(coded=frame, exact=frame).SerializeToString()
        client.call("Audit", audit, m.SPLIT_SERVICE)
    numbers = pages.numbers()
    assert numbers["partway_audit_frames_total", ("mnist", "0", "raw")] == 1
    assert numbers["partway_audit_agreed_total", ("mnist", "0", "raw")] == 1


def test_health_tells_a_drain(pages: Pages) -> None:
    """A balancer is told before the port closes."""
    assert pages.client.get("/v2/health/live").json() == {"live": True}
    assert pages.client.get("/v2/health/ready").status_code == 200
    pages.cloud.server.inference.ready = False
    assert pages.client.get("/v2/health/ready").status_code == 503
    assert pages.client.get("/v2/models/mnist/ready").status_code == 503
    assert pages.client.get("/v2/health/live").status_code == 200


def test_models_are_described(pages: Pages) -> None:
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
    async def start() -> None:
        await HttpServer(pages.cloud.server).start("127.0.0.1", pages.http.port)

    with pytest.raises(InputError, match=f"port {pages.http.port} on 127.0.0.1 is taken.*--http-port"):
        asyncio.run(start())


def test_the_command_serves_both_and_ends() -> None:
    command = [sys.executable, "-m", "partway.cloud", "--grpc-port", "0", "--http-port", "0", "--no-advertise"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+) \(HTTP", process.stdout.readline())
        assert found is not None
        assert httpx.get(f"http://127.0.0.1:{found[1]}/v2/health/ready", timeout=30).status_code == 200
        process.terminate()
        assert process.wait(30) == 0
