"""A cloud over gRPC: a real one in another process, and servers that are none."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import numpy as np
import pytest
from tests.conftest import RealCloud
from tests.support.raw_services import raw_services

from partway.edge.pipeline.encoder import Encoder
from partway.edge.pipeline.runner import Runner
from partway.edge.sources.files import Sample
from partway.edge.transport.client import CloudClient
from partway.engines.registry import engine_for
from partway.errors import InputError, LinkLost, Refused
from partway.partitioner.decide.estimate import Candidate
from partway.partitioner.plan.chain import load_chain
from partway.partitioner.plan.plan_file import load_plan, read_stage
from partway.partitioner.zoo import model_folder
from partway.proto import messages as m

PLAN = load_plan(model_folder("mnist"))


@pytest.fixture
def cloud(start_cloud: Callable[..., RealCloud]) -> RealCloud:
    """cloud-serve with the shipped models, in its own process."""
    return start_cloud("--threads", "1")


def test_a_cloud_describes_its_models(cloud: RealCloud) -> None:
    """Plan, digest and profile come from the cloud itself; a name it does not know is refused with those it does."""
    with CloudClient(cloud.address) as client:
        described = client.describe("mnist")
        assert described.plan == PLAN
        assert described.digest == PLAN.digest
        assert len(described.profile["stage_s"]) == len(PLAN.stages)
        with pytest.raises(Refused, match=r"mnits.* served: .*mnist"):
            client.describe("mnits")
        assert client.describe("").plan is None


def test_stages_are_fetched_by_digest(cloud: RealCloud) -> None:
    """Each stage file comes as it is on the cloud's disk; an unknown digest is refused."""
    with CloudClient(cloud.address) as client:
        for stage in PLAN.stages:
            assert hashlib.sha256(client.fetch(stage.digest)).hexdigest() == stage.digest
        with pytest.raises(Refused, match="no stage"):
            client.fetch("0" * 64)


def test_probes_take_time(cloud: RealCloud) -> None:
    """A probe of any size comes back with its seconds."""
    with CloudClient(cloud.address) as client:
        assert all(0 < client.probe(size, size) < 60 for size in (0, 16, 1 << 20))


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_port_where_nobody_listens_is_told_apart() -> None:
    """Nobody there: the address, the time tried and the reason are named."""
    address = f"127.0.0.1:{_closed_port()}"
    with CloudClient(address, 0.1) as client, pytest.raises(InputError) as caught:
        client.describe("mnist")
    assert f"no cloud answers at {address} (tried gRPC for 0.1 s: connection refused)" in str(caught.value)
    assert "cloud-serve" in str(caught.value)


@contextmanager
def _silence() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def _web_server() -> Iterator[int]:
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("something", [_silence, _web_server])
def test_something_else_on_the_port_is_told_apart(something: Callable[[], Any]) -> None:
    """A listener that is no gRPC server is called that."""
    says = "something listens there, but it does not answer like a cloud"
    with (
        something() as port,
        CloudClient(f"127.0.0.1:{port}", 0.2) as client,
        pytest.raises(InputError, match=says),
    ):
        client.describe("mnist")


@pytest.mark.parametrize("timeout_s", [0.0, 1e-6])
def test_no_patience_at_all_is_a_sentence_too(timeout_s: float) -> None:
    """A timeout of nothing ends like any other."""
    with CloudClient(f"127.0.0.1:{_closed_port()}", timeout_s) as client, pytest.raises(InputError, match="no cloud"):
        client.describe("mnist")


def test_a_name_that_does_not_resolve_is_told() -> None:
    """An unknown host is a cloud that does not answer."""
    with (
        CloudClient("nowhere.invalid:8001", 0.2) as client,
        pytest.raises(InputError, match=r"no cloud answers at nowhere"),
    ):
        client.describe("mnist")


def test_another_grpc_server_is_no_cloud() -> None:
    """A server that does not know our service is called what it is."""
    says = "is not a Partway cloud; check the port"
    with raw_services() as address, CloudClient(address) as client, pytest.raises(InputError, match=says):
        client.describe("mnist")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (m.DescribeResponse(plan_json=b"{"), "sent invalid JSON"),
        (m.DescribeResponse(plan_json=b"\xff"), "sent invalid JSON"),
        (m.DescribeResponse(plan_json=b"[" * 100_000), "sent invalid JSON"),
        (m.DescribeResponse(plan_json=b"[]"), "is not a plan"),
        (m.DescribeResponse(profile_json=b"nope"), "sent invalid JSON"),
    ],
)
def test_a_description_that_is_none_is_refused(reply: Any, says: str) -> None:
    """Whatever a cloud says of a model, it ends in a plan or a sentence with the cloud's address."""
    with (
        raw_services(Describe=lambda request, context: reply.SerializeToString()) as address,
        CloudClient(address) as client,
        pytest.raises(InputError, match=says) as caught,
    ):
        client.describe("mnist")
    assert address in str(caught.value)


def test_a_broken_download_goes_on_where_it_stopped() -> None:
    """A stage that comes in pieces over three attempts is put together, no byte asked for twice."""
    body = bytes(range(256)) * 4
    offsets = []

    def fetch(request: bytes, context: Any) -> Iterator[bytes]:
        offset = m.FetchRequest.FromString(request).offset
        offsets.append(offset)
        yield m.FetchChunk(data=body[offset : offset + 400], total_bytes=len(body)).SerializeToString()
        if offset + 400 < len(body):
            context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled")

    with raw_services(Fetch=fetch) as address, CloudClient(address) as client:
        assert client.fetch("any") == body
    assert offsets == [0, 400, 800]


def test_a_download_that_always_breaks_is_given_up() -> None:
    """After three attempts the cloud counts as gone."""
    attempts = []

    def fetch(request: bytes, context: Any) -> Iterator[bytes]:
        attempts.append(1)
        context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled")
        yield b""

    with (
        raw_services(Fetch=fetch) as address,
        CloudClient(address) as client,
        pytest.raises(LinkLost, match="cable pulled"),
    ):
        client.fetch("any")
    assert len(attempts) == 3


def _runner(client: CloudClient, **options: Any) -> Runner:
    chain = load_chain(PLAN, engine_for("onnx", 1), lambda stage: read_stage(model_folder("mnist"), stage))
    return Runner(chain, Encoder(PLAN), client.open_stream, **options)


def _pictures(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(str(i), rng.integers(0, 256, (28, 28, 1), dtype=np.uint8)) for i in range(count)]


@pytest.mark.parametrize(("k", "codec"), [(0, "u8"), (0, "raw"), (0, "png"), (1, "raw"), (2, "raw"), (3, "raw")])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_split_gives_the_whole_models_answer_over_the_wire(
    cloud: RealCloud, k: int, codec: str, batch: int
) -> None:
    """Through a cloud in another process, each frame's answer is that of the whole chain here, within 1e-5."""
    pictures = _pictures(9)
    with CloudClient(cloud.address) as client:
        runner = _runner(client, batch=batch)
        results = list(runner.run(pictures, lambda: Candidate(k, codec)))
        runner.close()
    assert [(r.id, r.cut, r.codec, r.answered_by) for r in results] == [(i, k, codec, "cloud") for i in range(9)]
    for result, picture in zip(results, pictures, strict=True):
        right = runner.chain.run(picture.tensors(runner.encoder.preprocess), 0, 3)["logits"]
        np.testing.assert_allclose(result.outputs["logits"], right, rtol=0, atol=1e-5 * float(np.abs(right).max()))


def test_a_cloud_that_dies_loses_no_frame(cloud: RealCloud) -> None:
    """Killed between two frames, the cloud's frames are finished here, and the runner knows whom it lost."""
    with CloudClient(cloud.address) as client:
        runner = _runner(client)
        results = []
        for result in runner.run(_pictures(40), lambda: Candidate(1, "raw")):
            results.append(result)
            if result.id == 9:
                cloud.process.kill()
                cloud.process.wait()
        runner.close()
    assert [result.id for result in results] == list(range(40))
    assert {result.answered_by for result in results[:10]} == {"cloud"}
    assert results[-1].answered_by == "device"
    assert isinstance(runner.lost, LinkLost)
    assert cloud.address in str(runner.lost)


def test_a_client_may_be_closed_twice() -> None:
    """Closing is done once."""
    client = CloudClient("127.0.0.1:1")
    client.close()
    client.close()
