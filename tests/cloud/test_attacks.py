"""Frames that lie, break the protocol or mean harm: each is refused in a sentence, and nothing else suffers."""

import contextlib
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.served import Array, Client, Cloud, assert_readable, outputs, request

from partway.cloud.answer import MAX_ROUTES, FrameRefused, Router, answer
from partway.cloud.models.repository import ServedModel
from partway.cloud.server import largest_frame_bytes
from partway.errors import WireError
from partway.partitioner.plan.cut import Cut
from partway.proto import messages as m
from partway.proto.frame import decode_request
from partway.proto.tensors import TensorSpec

IMAGE = np.zeros((1, 1, 28, 28), np.float32)
PAIR = {"a": np.array([1, 2]), "b": np.array([[3, 4]], np.int8), "flag": np.array([True])}
BAD = "INVALID_ARGUMENT"


def good(frame_id: str = "7") -> Any:
    """A request as it should be."""
    return request("mnist", {"image": IMAGE}, frame_id)


def mnist(**changes: Any) -> bytes:
    """The good request with its only input, its bytes or its parameters changed."""
    asked = good()
    (tensor,) = asked.inputs
    for key in ("name", "datatype"):
        setattr(tensor, key, changes.pop(key, getattr(tensor, key)))
    if "shape" in changes:
        del tensor.shape[:]
        tensor.shape.extend(changes.pop("shape"))
    if "raw" in changes:
        del asked.raw_input_contents[:]
        asked.raw_input_contents.extend(changes.pop("raw"))
    for key in ("model_name", "model_version"):
        setattr(asked, key, changes.pop(key, getattr(asked, key)))
    for output in changes.pop("outputs", ()):
        asked.outputs.add(name=output)
    for name, value in changes.items():
        kind = {bool: "bool", int: "int64", str: "string", float: "double"}[type(value)]
        setattr(asked.parameters[f"partway.{name}"], f"{kind}_param", value)
    return bytes(asked.SerializeToString())


def uint64(name: str, value: int) -> bytes:
    """The good request with a parameter beyond int64."""
    asked = good()
    asked.parameters[f"partway.{name}"].uint64_param = value
    return bytes(asked.SerializeToString())


def pair(*names: str, **values: Array) -> bytes:
    """A request of three inputs, some left out, doubled or changed."""
    asked = request(
        "pair", {name: values.get(name, PAIR.get(name, np.zeros(1, np.int64))) for name in dict.fromkeys(names)}
    )
    for name in names[len(asked.inputs) :]:
        again = next(i for i, tensor in enumerate(asked.inputs) if tensor.name == name)
        asked.inputs.add().CopyFrom(asked.inputs[again])
        asked.raw_input_contents.append(asked.raw_input_contents[again])
    return bytes(asked.SerializeToString())


def typed(datatype: str, field: str, values: list[Any], raw: bytes | None = None) -> bytes:
    """The good request with its numbers in the message itself."""
    asked = good()
    del asked.raw_input_contents[:]
    asked.inputs[0].datatype = datatype
    getattr(asked.inputs[0].contents, field).extend(values)
    if raw is not None:
        asked.raw_input_contents.append(raw)
    return bytes(asked.SerializeToString())


def typed_int8(values: list[int]) -> bytes:
    """``b`` of the pair in the message itself, the others too."""
    asked = request("pair", PAIR)
    del asked.raw_input_contents[:]
    asked.inputs[0].contents.int64_contents.extend([1, 2])
    asked.inputs[1].contents.int_contents.extend(values)
    asked.inputs[2].contents.bool_contents.append(True)
    return bytes(asked.SerializeToString())


def coded(data: bytes, count: int = 1, codec: str = "fp16", name: str = "image") -> bytes:
    """The good request with a BYTES tensor in place of its image."""
    return mnist(name=name, datatype="BYTES", shape=[count], raw=[data], codec=codec)


def element(*bodies: bytes) -> bytes:
    """BYTES elements with true lengths."""
    return b"".join(struct.pack("<I", len(body)) + body for body in bodies)


HEADER = msgpack.packb({"codec": "fp16", "dtype": "float32", "shape": [1, 1, 28, 28]})
BATCH = np.zeros((65, 1, 28, 28), np.float32)
ATTACKS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    # the message
    "no message": (lambda: b"", "NOT_FOUND", "model '' is not served here"),
    "noise": (lambda: b"\xff" * 100, BAD, "malformed"),
    "a number cut short": (lambda: good().SerializeToString() + b"\x80", BAD, "malformed"),
    "a length beyond the end": (lambda: good().SerializeToString() + b"\x3a\xff\x01", BAD, "malformed"),
    "a length of 2 GB": (lambda: good().SerializeToString() + b"\x3a\x80\x80\x80\x80\x08", BAD, "malformed"),
    "a group": (lambda: b"\x0b" * 1000, BAD, "malformed"),
    "field 0": (lambda: b"\x00\x00", BAD, "malformed"),
    "a million empty fields": (lambda: b"\x3a\x00" * 1_000_000, BAD, "too many fields"),
    "a million empty tensors": (lambda: good().SerializeToString() + b"\x3a\x00" * 1_000_000, BAD, "too many fields"),
    "a million unknown fields": (lambda: good().SerializeToString() + b"\x78\x00" * 1_000_000, BAD, "too many fields"),
    "contents a hundred thousand times": (lambda: b"\x2a\x80\x80\x10" + b"\x2a\x00" * 131072, BAD, "no typed contents"),
    "inputs without names": (lambda: mnist(name="") + b"\x2a\x00" * 1000, BAD, "once each"),
    "an id that is not UTF-8": (lambda: good().SerializeToString() + b"\x1a\x02\xff\xfe", BAD, "UTF-8"),
    "a name that is not UTF-8": (lambda: b"\x0a\x01\xff", BAD, "malformed"),
    "a parameter cut short": (lambda: good().SerializeToString() + b"\x22\x03\x0a\x05a", BAD, "malformed"),
    # the model
    "an unknown model": (
        lambda: mnist(model_name="resnet"),
        "NOT_FOUND",
        "model 'resnet' is not served here; served: mnist",
    ),
    "a path for a model": (lambda: mnist(model_name="../../etc/passwd"), "NOT_FOUND", "not served"),
    "an absolute path": (lambda: mnist(model_name="/etc/passwd"), "NOT_FOUND", "not served"),
    "a model with NUL": (lambda: mnist(model_name="mnist\0"), "NOT_FOUND", "not served"),
    "a model with a line break": (lambda: mnist(model_name="a\r\nb"), "NOT_FOUND", "not served"),
    "a space for a model": (lambda: mnist(model_name=" "), "NOT_FOUND", "not served"),
    "a model that looks alike": (lambda: mnist(model_name="mnіst"), "NOT_FOUND", "not served"),
    "a model of 10 KB": (lambda: mnist(model_name="m" * 10_000), "NOT_FOUND", "not served"),
    "version 2": (lambda: mnist(model_version="2"), "NOT_FOUND", "version 1 only"),
    "version -1": (lambda: mnist(model_version="-1"), "NOT_FOUND", "version 1 only"),
    "version latest": (lambda: mnist(model_version="latest"), "NOT_FOUND", "version 1 only"),
    "another plan": (
        lambda: mnist(plan="f" * 64),
        "FAILED_PRECONDITION",
        "has plan .* here and ffffffffffff on the device",
    ),
    "a plan of a megabyte": (lambda: mnist(plan="f" * 1_000_000), "FAILED_PRECONDITION", "use the same version"),
    "a plan that is a number": (lambda: mnist(plan=7), "FAILED_PRECONDITION", "use the same version"),
    "a plan that is empty": (lambda: mnist(plan=""), "FAILED_PRECONDITION", "use the same version"),
    # parameters
    "a cut too far": (lambda: mnist(cut=4), BAD, "partway.cut must be 0 to 3, not 4"),
    "a cut below zero": (lambda: mnist(cut=-1), BAD, "partway.cut must be 0 to 3, not -1"),
    "a huge cut": (lambda: uint64("cut", 2**64 - 1), BAD, "partway.cut must be 0 to 3"),
    "a cut that is a bool": (lambda: mnist(cut=True), BAD, "not True"),
    "a cut that is false": (lambda: mnist(cut=False), BAD, "not False"),
    "a cut that is text": (lambda: mnist(cut="0"), BAD, "not '0'"),
    "a cut that is a fraction": (lambda: mnist(cut=0.0), BAD, "not 0.0"),
    "an unknown codec": (lambda: mnist(codec="zip"), BAD, "unknown codec 'zip'; known at split 0: raw, fp16, zstd, q8"),
    "a codec of a megabyte": (lambda: mnist(codec="z" * 1_000_000), BAD, "unknown codec"),
    "a codec that is a number": (lambda: mnist(codec=5), BAD, "unknown codec 5"),
    "a codec that is true": (lambda: mnist(codec=True), BAD, "unknown codec True"),
    "a picture behind a cut": (
        lambda: mnist(cut=1, codec="png"),
        BAD,
        "unknown codec 'png'; known at split 1: raw, fp16, zstd, q8",
    ),
    "a deadline of zero": (lambda: mnist(deadline_ms=0), "DEADLINE_EXCEEDED", "deadline of 0 ms"),
    "a deadline below zero": (lambda: mnist(deadline_ms=-1.5), "DEADLINE_EXCEEDED", "deadline of -1.5 ms"),
    "a deadline of NaN": (lambda: mnist(deadline_ms=float("nan")), BAD, "must be a number"),
    "a deadline that is text": (
        lambda: mnist(deadline_ms="soon"),
        BAD,
        "must be a number of milliseconds, not 'soon'",
    ),
    "a deadline that is true": (lambda: mnist(deadline_ms=True), BAD, "must be a number"),
    # inputs and outputs
    "no inputs": (lambda: request("mnist", {}).SerializeToString(), BAD, "split 0 takes image once each; received: $"),
    "an input of another split": (lambda: mnist(name="relu3"), BAD, "takes image once each; received: relu3"),
    "an input too few": (lambda: pair("a", "b"), BAD, "takes a, b, flag once each; received: a, b"),
    "an input too many": (lambda: pair("a", "b", "flag", "z"), BAD, "received: a, b, flag, z"),
    "an input twice": (lambda: pair("a", "b", "flag", "a"), BAD, "once each"),
    "an input in place of another": (lambda: pair("a", "b", "a"), BAD, "once each"),
    "a thousand inputs": (lambda: pair(*(f"i{n}" for n in range(1000))), BAD, "once each"),
    "an unknown output": (lambda: mnist(outputs=["relu3"]), BAD, "outputs must be among logits, each at most once"),
    "an output twice": (lambda: mnist(outputs=["logits", "logits"]), BAD, "each at most once"),
    # tensors
    "another dtype": (lambda: mnist(datatype="INT32"), BAD, r"'image' must be float32 \[-1, 1, 28, 28\], int32"),
    "an unknown dtype": (lambda: mnist(datatype="FP128"), BAD, "datatype 'FP128' is not supported"),
    "no dtype": (lambda: mnist(datatype=""), BAD, "not supported"),
    "too low a rank": (lambda: mnist(shape=[28, 28]), BAD, "must be"),
    "too high a rank": (lambda: mnist(shape=[1, 1, 1, 28, 28]), BAD, "must be"),
    "no shape": (lambda: mnist(shape=[]), BAD, "must be"),
    "another shape": (lambda: mnist(shape=[1, 1, 28, 29]), BAD, "must be"),
    "dimension -1": (lambda: mnist(shape=[-1, 1, 28, 28]), BAD, "must be"),
    "dimension 0": (lambda: mnist(shape=[0, 1, 28, 28], raw=[b""]), BAD, "must be"),
    "dimension 2**63-1": (lambda: mnist(shape=[2**63 - 1, 1, 28, 28]), BAD, "at most 64 samples"),
    "a product beyond 2**64": (lambda: mnist(shape=[2**63 - 1] * 4), BAD, "must be"),
    "a hundred thousand dimensions": (lambda: mnist(shape=[1] * 100_000), BAD, "must be"),
    "a byte too few": (lambda: mnist(raw=[bytes(3135)]), BAD, "takes 3136 bytes, 3135 came"),
    "a byte too many": (lambda: mnist(raw=[bytes(3137)]), BAD, "takes 3136 bytes, 3137 came"),
    "no bytes": (lambda: mnist(raw=[b""]), BAD, "takes 3136 bytes, 0 came"),
    "no raw contents": (lambda: mnist(raw=[]), BAD, "1 tensors need as many raw contents, 0 came"),
    "raw contents twice": (lambda: mnist(raw=[bytes(3136)] * 2), BAD, "1 tensors need as many raw contents, 2 came"),
    "a batch too large": (lambda: mnist(shape=BATCH.shape, raw=[BATCH.tobytes()]), BAD, "at most 64 samples, 65 came"),
    "a bool of two": (
        lambda: pair("a", "b", "flag", flag=np.array([2], np.uint8).view(np.bool_)),
        BAD,
        "neither 0 nor 1",
    ),
    # typed contents
    "raw and typed": (lambda: typed("FP32", "fp32_contents", [0.0] * 784, bytes(3136)), BAD, "must not be specified"),
    "typed too few": (lambda: typed("FP32", "fp32_contents", [0.0] * 783), BAD, "takes 3136 bytes, 3132 came"),
    "typed in another field": (lambda: typed("FP32", "int_contents", [0] * 784), BAD, "takes 3136 bytes, 0 came"),
    "typed half precision": (lambda: typed("FP16", "fp32_contents", [0.0] * 784), BAD, "no typed contents"),
    "typed bytes": (lambda: typed("BYTES", "bytes_contents", [b"x"]), BAD, "unable to find data"),
    "typed beyond int8": (lambda: typed_int8([3, 300]), BAD, "values outside INT8"),
    "typed in part": (lambda: typed_int8([]), BAD, "takes 2 bytes, 0 came"),
    # coded tensors
    "no element": (lambda: coded(b""), BAD, "do not add up"),
    "an element that lies": (lambda: coded(struct.pack("<I", 2**32 - 1) + b"x"), BAD, "do not add up"),
    "elements that lie": (lambda: coded(element(b"a", b"b")), BAD, "do not add up"),
    "two coded tensors": (lambda: coded(element(b"a", b"b"), 2), BAD, "one BYTES element, 2 came"),
    "a million elements": (lambda: coded(bytes(4_000_000), 1_000_000), BAD, "do not add up"),
    "a coded tensor without header": (lambda: coded(element(b"")), BAD, "does not parse"),
    "a header of 1 GB": (lambda: coded(element(b"\xc6\x40\x00\x00\x00" + bytes(2000))), BAD, "does not parse"),
    "a map of 2**32 entries": (lambda: coded(element(b"\xdf\xff\xff\xff\xff" + bytes(2000))), BAD, "does not parse"),
    "nested lists": (lambda: coded(element(b"\x91" * 5000)), BAD, "does not parse"),
    "a coded body cut short": (lambda: coded(element(HEADER + bytes(1567))), BAD, "takes 1568 bytes, 1567 came"),
    "another coded shape": (
        lambda: coded(element(msgpack.packb({"codec": "fp16", "dtype": "float32", "shape": [2**62, 1, 28, 28]}))),
        BAD,
        "at most 64 samples",
    ),
    "a coded batch too large": (
        lambda: coded(
            element(msgpack.packb({"codec": "fp16", "dtype": "float32", "shape": [65, 1, 28, 28]}) + bytes(65 * 1568))
        ),
        BAD,
        "at most 64 samples",
    ),
    # pictures
    "a picture for a model without": (
        lambda: request(
            "double", {"x": np.zeros((1, 4), np.float32)}, parameters={"partway.codec": "png"}
        ).SerializeToString(),
        BAD,
        "model double does not take pictures",
    ),
    "a picture that is none": (lambda: coded(element(b"hello"), codec="png"), BAD, "does not decode"),
    "pixels too few": (lambda: coded(element(bytes(783)), codec="u8"), BAD, "takes 784 bytes, 783 came"),
    "a picture under another name": (
        lambda: coded(element(bytes(784)), codec="u8", name="x"),
        BAD,
        "pictures are one input",
    ),
    "a picture that is a tensor": (lambda: mnist(codec="u8"), BAD, "pictures are one input"),
    "no pictures": (lambda: coded(b"", 0, codec="u8"), BAD, "0 came"),
    "65 pictures": (lambda: coded(element(*[bytes(784)] * 65), 65, codec="u8"), BAD, "do not add up"),
    "pictures without bytes": (lambda: mnist(datatype="BYTES", shape=[1], raw=[], codec="u8"), BAD, "0 came"),
    # our own faults
    "a suffix that fails": (
        lambda: request("broken", {"x": np.zeros((1, 4), np.float32)}).SerializeToString(),
        "INTERNAL",
        "failed on this frame; its log says why",
    ),
    "a long suffix that fails": (
        lambda: request("slowly-broken", {"x": np.zeros((1, 4), np.float32)}).SerializeToString(),
        "INTERNAL",
        "failed on this frame; its log says why",
    ),
}


def assert_answers(client: Client) -> None:
    """A good frame is still answered."""
    assert outputs(client.infer(good()))["logits"].shape == (1, 10)


@pytest.mark.parametrize("what", ATTACKS)
def test_a_bad_request_gets_a_status_and_a_sentence(client: Client, what: str) -> None:
    """Asked alone, before and after a good one; the status is the one the protocol has for it."""
    made, status, sentence = ATTACKS[what]
    message = made()
    for _ in range(2):
        code, details = client.refusal("ModelInfer", message)
        assert code == status
        assert_matches(sentence, details)
        assert_readable(details)
        assert_answers(client)


@pytest.mark.parametrize("what", ATTACKS)
def test_a_bad_frame_leaves_its_stream_open(client: Client, what: str) -> None:
    """On a stream the sentence comes in-band, in turn, and the frames around it are answered."""
    made, _, sentence = ATTACKS[what]
    stream = client.open()
    for message in (good("before").SerializeToString(), made(), good("after").SerializeToString()):
        stream.send(message)
    before, refused, after = stream.rest()
    assert stream.call.code() is grpc.StatusCode.OK
    assert_matches(sentence, refused.error_message)
    assert_readable(refused.error_message)
    assert refused.infer_response.id in ("7", "") and not refused.infer_response.raw_output_contents
    assert [reply.infer_response.id for reply in (before, after)] == ["before", "after"]
    assert outputs(before.infer_response)["logits"].tobytes() == outputs(after.infer_response)["logits"].tobytes()


def assert_matches(pattern: str, text: str) -> None:
    """The sentence says what it should."""
    assert re.search(pattern, text), text


def test_all_attacks_on_one_stream(client: Client) -> None:
    """One after the other, each gets its own sentence and none stops the stream."""
    replies = client.stream(made() for made, _, _ in ATTACKS.values())
    for (what, (_, _, sentence)), reply in zip(ATTACKS.items(), replies, strict=True):
        assert reply.error_message, what
        assert_matches(sentence, reply.error_message)


def test_strange_numbers_are_numbers(client: Client) -> None:
    """NaN, infinities and denormals are the model's affair: the frame is answered."""
    for value in (np.nan, np.inf, -np.inf, np.float32(1e-45), np.finfo(np.float32).max):
        response = client.infer(request("mnist", {"image": np.full((1, 1, 28, 28), value, np.float32)}))
        assert outputs(response)["logits"].shape == (1, 10)


@pytest.mark.parametrize("frame_id", ["", "i" * 128, "i" * 1_000_000, "é\0\r\n\u202e", "7"])
def test_any_id_comes_back(client: Client, frame_id: str) -> None:
    """Empty, a megabyte long or full of control characters: the id is the device's own, with an answer or a refusal."""
    bad = request("unknown", {}, frame_id).SerializeToString()
    answered, refused = client.stream([good(frame_id).SerializeToString(), bad])
    assert (answered.infer_response.id, refused.infer_response.id) == (frame_id, frame_id)
    assert client.infer(good(frame_id)).id == frame_id


def test_the_same_id_twice_is_answered_twice(client: Client) -> None:
    """Ids are the device's affair."""
    assert [reply.infer_response.id for reply in client.stream([good("1").SerializeToString()] * 3)] == ["1"] * 3


def test_a_message_over_the_limit_is_refused(client: Client, cloud: Cloud) -> None:
    """A message beyond any legal frame ends its own call, not the server."""
    stream = client.open()
    stream.send(mnist(raw=[bytes(6_000_000)]))
    with pytest.raises(grpc.RpcError) as caught:
        stream.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    stream.half_close()
    assert client.refusal("ModelInfer", mnist(raw=[bytes(6_000_000)]))[0] == "RESOURCE_EXHAUSTED"
    assert_answers(client)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_bomb_is_refused(cloud: Cloud, compression: grpc.Compression) -> None:
    """What is small on the wire and large behind is measured by what it becomes; honest compression works."""
    with Client(cloud.port, compression=compression) as client:
        assert client.refusal("ModelInfer", mnist(raw=[bytes(64_000_000)]))[0] == "RESOURCE_EXHAUSTED"
        assert_answers(client)


def test_metadata_beyond_the_limit_ends_only_its_own_call(client: Client) -> None:
    """64 KB of headers are refused."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ServerLive", metadata=[("x", "y" * 65536)])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert_answers(client)


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\xff" * 10_000,
    ],
    ids=["HTTP/1", "TLS", "noise"],
)
def test_who_speaks_no_grpc_is_shown_out(client: Client, cloud: Cloud, greeting: bytes) -> None:
    """A browser, a TLS client or noise on the port loses its connection; others keep theirs."""
    with socket.create_connection(("127.0.0.1", cloud.port), 10) as stranger:
        stranger.sendall(greeting)
        with contextlib.suppress(ConnectionResetError):
            while stranger.recv(4096):
                pass
    assert_answers(client)


@pytest.mark.parametrize("method", ["ServerLive", "ServerMetadata", "ModelReady", "ModelMetadata"])
def test_what_is_no_message_is_refused_everywhere(client: Client, method: str) -> None:
    """Calls beside inference do not tell about our insides either."""
    code, details = client.refusal(method, b"\xff\xff")
    assert code == BAD
    assert_readable(details)
    assert_answers(client)


def test_the_metadata_of_an_unknown_model_is_not_found(client: Client) -> None:
    """The name comes back shortened."""
    code, details = client.refusal("ModelMetadata", m.ModelMetadataRequest(name="../" * 10_000).SerializeToString())
    assert (code, len(details) < 200) == ("NOT_FOUND", True)
    assert_readable(details)


def test_headers_cannot_fill_the_memory(mnist: ServedModel) -> None:
    """Of thousands of different good headers the newest are remembered, of large ones none."""
    router = Router({"mnist": mnist})
    for number in range(3 * MAX_ROUTES):
        asked = good()
        asked.parameters["other"].int64_param = number
        last = decode_request(asked.SerializeToString()).header
        router.route(last)
    assert len(router._routes) == MAX_ROUTES
    assert router.route(last) is router.route(last)
    large = good()
    large.parameters["other"].string_param = "x" * 100_000
    header = decode_request(large.SerializeToString()).header
    assert router.route(header) is not router.route(header)


def test_the_limit_of_a_message_is_the_largest_legal_frame(mnist: ServedModel) -> None:
    """64 samples at the widest cut, all its tensors together, and no more than gRPC can count."""
    assert largest_frame_bytes({"mnist": mnist}) == (1 << 22) + (1 << 20)
    for size, most in ((1_000_000, 2 * 64 * 1_000_000 + (1 << 20)), (4_000_000_000, (1 << 31) - 1)):
        tensors = {**mnist.plan.tensors, "relu3": TensorSpec("relu3", "uint8", (None, size))}
        cuts = (*mnist.plan.cuts[:2], Cut(("relu3", "relu3")), mnist.plan.cuts[3])
        model = replace(mnist, plan=replace(mnist.plan, tensors=tensors, cuts=cuts))
        assert largest_frame_bytes({"mnist": model}) == most


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_any_damage_is_an_answer_or_a_refusal(mnist: ServedModel, data: st.DataObject) -> None:
    """Bytes of any request changed anywhere give an answer or a refusal, never another exception."""
    router = Router({"mnist": mnist})
    router.route(decode_request(good().SerializeToString()).header)
    made = data.draw(st.sampled_from([good().SerializeToString, *(attack for attack, _, _ in SMALL)]))
    message = made()
    at = data.draw(st.integers(0, len(message)))
    damaged = message[:at] + data.draw(st.binary(max_size=4)) + message[at + data.draw(st.integers(0, 4)) :]
    try:
        frame = decode_request(damaged)
        answer(router.route(frame.header), frame, 0.0, lambda: 0.0)
    except (WireError, FrameRefused):
        return


SMALL = [
    attack
    for name, attack in ATTACKS.items()
    if not any(w in name for w in ("million", "thousand", "megabyte", "KB", "large"))
]
