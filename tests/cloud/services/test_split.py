"""The plan, the stage files and the link, as a device asks for them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from tests.support.served import PATIENCE_S, Client, Cloud, assert_readable

import partway
from partway.cloud.models.repository import ServedModel, load_model
from partway.cloud.services.split import CHUNK_BYTES, MAX_REPLY_BYTES
from partway.partitioner.plan.plan_file import plan_from_json
from partway.proto import messages as m

LARGE = bytes(range(256)) * 3000  # three chunks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stage file of the model ``large`` lies."""
    made = tmp_path_factory.mktemp("large")
    (made / "large.bin").write_bytes(LARGE)
    return made


@pytest.fixture(scope="module")
def cloud(mnist: ServedModel, folder: Path) -> Iterator[Cloud]:
    """The shipped model, and one with a stage file of several chunks and one whose file is gone."""
    first, *others = mnist.plan.stages
    large = replace(first, file="large.bin", digest=hashlib.sha256(LARGE).hexdigest(), size_bytes=len(LARGE))
    gone = replace(first, file="gone.bin", digest="e" * 64)
    plan = replace(mnist.plan, model="large", stages=(large, gone, *others[1:]))
    with Cloud({"mnist": mnist, "large": replace(mnist, plan=plan, folder=folder)}) as made:
        yield made


@pytest.fixture
def client(cloud: Cloud) -> Iterator[Client]:
    """A connection of the test's own."""
    with Client(cloud.port) as made:
        yield made


def fetch(client: Client, digest: str, offset: int = 0) -> list[tuple[bytes, int]]:
    """Chunks, each with the size of the whole."""
    message = m.FetchRequest(digest=digest, offset=offset).SerializeToString()
    chunks = client.channel.unary_stream(f"/{m.SPLIT_SERVICE}/Fetch")(message, timeout=PATIENCE_S)
    return [(chunk.data, chunk.total_bytes) for chunk in map(m.FetchChunk.FromString, chunks)]


def describe(client: Client, model: str = "") -> "m.DescribeResponse":  # type: ignore[valid-type]
    """What the cloud says of a model."""
    asked = m.DescribeRequest(model=model).SerializeToString()
    return m.DescribeResponse.FromString(client.call("Describe", asked, m.SPLIT_SERVICE))


def test_a_cloud_lists_its_models(client: Client) -> None:
    """Without a name, only the list and the server's version come."""
    reply = describe(client)
    assert (list(reply.models), reply.server) == (["large", "mnist"], f"partway {partway.__version__}")
    assert not reply.plan_json and not reply.plan_digest


def test_a_plan_travels_whole(client: Client, mnist: ServedModel) -> None:
    """The plan read from the reply is the cloud's own, digest included; the profile is the cloud's measurement."""
    reply = describe(client, "mnist")
    plan = plan_from_json(json.loads(reply.plan_json))
    assert plan == mnist.plan
    assert reply.plan_digest == plan.digest == mnist.digest
    profile = json.loads(reply.profile_json)
    assert (profile["plan"], len(profile["stage_s"]), profile["threads"]) == (mnist.digest, 3, 1)


def test_a_plan_that_the_device_has_is_not_sent_again(client: Client, mnist: ServedModel) -> None:
    """Its digest and the profile come all the same; another digest gets the plan."""

    def told(digest: str) -> "m.DescribeResponse":  # type: ignore[valid-type]
        asked = m.DescribeRequest(model="mnist", known_digest=digest).SerializeToString()
        return m.DescribeResponse.FromString(client.call("Describe", asked, m.SPLIT_SERVICE))

    same = told(mnist.digest)
    assert (same.plan_json, same.plan_digest) == (b"", mnist.digest)
    assert same.profile_json
    assert told("0" * 64).plan_json


def test_an_unknown_model_is_not_found(client: Client) -> None:
    """The sentence lists those there are."""
    message = m.DescribeRequest(model="../etc" * 1000).SerializeToString()
    code, details = client.refusal("Describe", message, m.SPLIT_SERVICE)
    assert code == "NOT_FOUND"
    assert "served: large, mnist" in details
    assert_readable(details)


def test_every_stage_file_can_be_fetched(client: Client, mnist: ServedModel) -> None:
    """What comes has the digest that was asked for."""
    for stage in mnist.plan.stages:
        chunks = fetch(client, stage.digest)
        data = b"".join(data for data, _ in chunks)
        assert hashlib.sha256(data).hexdigest() == stage.digest
        assert {total for _, total in chunks} == {stage.size_bytes}


@pytest.mark.parametrize("offset", [0, 1, CHUNK_BYTES, len(LARGE) - 1, len(LARGE), len(LARGE) + 1, 2**64 - 1])
def test_a_fetch_can_be_resumed(client: Client, offset: int) -> None:
    """From any offset the rest comes, in bounded chunks; behind the end there is nothing, and still its size."""
    chunks = fetch(client, hashlib.sha256(LARGE).hexdigest(), offset)
    assert b"".join(data for data, _ in chunks) == LARGE[offset:]
    assert {total for _, total in chunks} == {len(LARGE)}
    assert max(len(data) for data, _ in chunks) <= CHUNK_BYTES


@pytest.mark.parametrize("digest", ["", "0" * 64, "../../etc/passwd", "stage0.onnx", "x" * 1_000_000])
def test_only_stages_can_be_fetched(client: Client, digest: str) -> None:
    """A digest is no path: what is none of the plans' digests is not found."""
    with pytest.raises(grpc.RpcError) as caught:
        fetch(client, digest)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert_readable(caught.value.details())


def test_a_stage_file_that_is_gone_is_reported_without_its_path(client: Client, folder: Path) -> None:
    """The device learns that it is gone, not where it was."""
    with pytest.raises(grpc.RpcError) as caught:
        fetch(client, "e" * 64)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert str(folder) not in caught.value.details()
    assert_readable(caught.value.details())


def test_a_fetch_may_be_given_up(client: Client) -> None:
    """Cancelled after the first chunk, it leaves the server as it was."""
    digest = hashlib.sha256(LARGE).hexdigest()
    for _ in range(5):
        message = m.FetchRequest(digest=digest).SerializeToString()
        call = client.channel.unary_stream(f"/{m.SPLIT_SERVICE}/Fetch")(message)
        next(call)
        call.cancel()
    assert len(fetch(client, digest)) == 3


@pytest.mark.parametrize(("asked", "sent"), [(0, 0), (1, 1), (100_000, 100_000), (2**32 - 1, MAX_REPLY_BYTES)])
def test_a_probe_is_answered_with_as_many_bytes_as_asked(client: Client, asked: int, sent: int) -> None:
    """Up to a bound, whatever was sent along, with the seconds the cloud held it."""
    message = m.ProbeRequest(payload=bytes(10_000), reply_bytes=asked).SerializeToString()
    reply = m.ProbeResponse.FromString(client.call("Probe", message, m.SPLIT_SERVICE))
    assert len(reply.payload) == sent
    assert reply.server_s >= 0


@pytest.mark.parametrize("method", ["Describe", "Probe", "Fetch"])
def test_what_is_no_message_is_refused(client: Client, method: str) -> None:
    """Bytes that do not parse get a sentence that says so."""
    code, details = client.refusal(method, b"\xff\xff", m.SPLIT_SERVICE)
    assert code == "INVALID_ARGUMENT"
    assert_readable(details)


def test_a_cloud_serves_what_lies_on_disk(tmp_path: Path, fake_plan: Path) -> None:
    """A model loaded from a folder can be described and fetched from there."""
    model = load_model(fake_plan)
    with Cloud({"fake": model}) as cloud, Client(cloud.port) as client:
        assert describe(client, "fake").plan_digest == model.digest
        stage = model.plan.stages[1]
        assert fetch(client, stage.digest) == [((fake_plan / stage.file).read_bytes(), stage.size_bytes)]
