"""Frames as bytes, both ways, whole and in pieces, beside protobuf's own parser."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from partway.errors import WireError
from partway.proto import frame as module
from partway.proto.frame import (
    Durations,
    Frame,
    Reply,
    decode_reply,
    decode_request,
    decode_response,
    encode_reply,
    encode_request,
    encode_response,
)
from partway.proto.header import Header, TensorHead
from partway.proto.messages import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from partway.proto.protowire import MAX_FIELDS, scan, varint

DURATIONS = ("partway.queue_s", "partway.decode_s", "partway.suffix_s")


def field(number: int, *parts: bytes) -> bytes:
    """A length-delimited field, spelled out."""
    data = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(data)) + data


def parameter(name: bytes, value: bytes) -> bytes:
    """A map entry of ``parameters``."""
    return field(4, field(1, name), field(2, value))


def tensor(name: bytes, datatype: bytes, shape: bytes) -> bytes:
    """An entry of ``inputs`` or ``outputs``."""
    return field(5, field(1, name), field(2, datatype), field(3, shape))


def double(value: float) -> bytes:
    """A double_param."""
    return b"\x21" + struct.pack("<d", value)


X = TensorHead("x", "FP32", (1, 2))
REQUESTS = {
    "empty": (Frame(Header(""), "", ()), field(3)),
    "a model": (Frame(Header("m"), "", ()), field(1, b"m") + field(3)),
    "an id": (Frame(Header("m"), "7", ()), field(1, b"m") + field(3, b"7")),
    "a long id": (Frame(Header("m"), "7" * 300, ()), field(1, b"m") + field(3, b"7" * 300)),
    "not ASCII": (Frame(Header("größe"), "é", ()), field(1, "größe".encode()) + field(3, "é".encode())),
    "a version": (Frame(Header("m", version="1"), "7", ()), field(1, b"m") + field(2, b"1") + field(3, b"7")),
    "bool": (
        Frame(Header("m", (("p", True),)), "7", ()),
        field(1, b"m") + parameter(b"p", b"\x08\x01") + field(3, b"7"),
    ),
    "int64": (Frame(Header("m", (("p", 5),)), "7", ()), field(1, b"m") + parameter(b"p", b"\x10\x05") + field(3, b"7")),
    "negative": (
        Frame(Header("m", (("p", -1),)), "7", ()),
        field(1, b"m") + parameter(b"p", b"\x10" + b"\xff" * 9 + b"\x01") + field(3, b"7"),
    ),
    "string": (
        Frame(Header("m", (("p", "s"),)), "7", ()),
        field(1, b"m") + parameter(b"p", b"\x1a\x01s") + field(3, b"7"),
    ),
    "double": (
        Frame(Header("m", (("p", 0.5),)), "7", ()),
        field(1, b"m") + parameter(b"p", double(0.5)) + field(3, b"7"),
    ),
    "uint64": (
        Frame(Header("m", (("p", 2**63),)), "7", ()),
        field(1, b"m") + parameter(b"p", b"\x28" + varint(2**63)) + field(3, b"7"),
    ),
    "a tensor": (
        Frame(Header("m", (), (X,)), "7", (b"12345678",)),
        field(1, b"m") + tensor(b"x", b"FP32", b"\x01\x02") + field(3, b"7") + field(7, b"12345678"),
    ),
    "a tensor without bytes": (
        Frame(Header("m", (), (TensorHead("x", "INT8", (0,)),)), "7", (b"",)),
        field(1, b"m") + tensor(b"x", b"INT8", b"\x00") + field(3, b"7") + field(7),
    ),
    "everything": (
        Frame(
            Header("m", (("a", 1), ("b", "z")), (X, TensorHead("y", "INT8", (3,))), "1", ("o", "p")),
            "42",
            (b"12345678", b"abc" * 100),
        ),
        field(1, b"m")
        + field(2, b"1")
        + parameter(b"a", b"\x10\x01")
        + parameter(b"b", b"\x1a\x01z")
        + tensor(b"x", b"FP32", b"\x01\x02")
        + tensor(b"y", b"INT8", b"\x03")
        + field(6, field(1, b"o"))
        + field(6, field(1, b"p"))
        + field(3, b"42")
        + field(7, b"12345678")
        + field(7, b"abc" * 100),
    ),
}

TIMES = b"".join(
    parameter(name.encode(), double(value)) for name, value in zip(DURATIONS, (0.5, 0.25, 2.0), strict=True)
)
NO_TIMES = b"".join(parameter(name.encode(), double(0.0)) for name in DURATIONS)
REPLIES = {
    "empty": (Reply(Frame(Header(""), "", ()), Durations()), field(2, NO_TIMES, field(3))),
    "an error": (
        Reply(Frame(Header("m", version="1"), "7", ()), Durations(), "no"),
        field(1, b"no") + field(2, field(1, b"m"), field(2, b"1"), NO_TIMES, field(3, b"7")),
    ),
    "an answer": (
        Reply(Frame(Header("m", (), (X,), "1"), "7", (b"12345678",)), Durations(0.5, 0.25, 2.0)),
        field(
            2,
            field(1, b"m"),
            field(2, b"1"),
            tensor(b"x", b"FP32", b"\x01\x02"),
            TIMES,
            field(3, b"7"),
            field(6, b"12345678"),
        ),
    ),
}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without the memory of the message before."""
    monkeypatch.setattr(module, "_last_request", (b"", Header("")))
    monkeypatch.setattr(module, "_last_reply", (b"", Header("")))


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_is_written_and_read_as_in_the_table(what: str) -> None:
    """The whole message agrees in both directions, also when its header was the one before."""
    frame, message = REQUESTS[what]
    assert encode_request(frame) == message
    assert [decode_request(message) for _ in range(3)] == [frame] * 3


@pytest.mark.parametrize("what", REPLIES)
def test_a_reply_is_written_and_read_as_in_the_table(what: str) -> None:
    """The whole message agrees in both directions, also when its header was the one before."""
    reply, message = REPLIES[what]
    assert encode_reply(reply) == message
    assert [decode_reply(message) for _ in range(3)] == [reply] * 3


@pytest.mark.parametrize("what", REPLIES)
def test_a_unary_response_is_the_answer_without_its_envelope(what: str) -> None:
    """ModelInfer returns the same bytes that the stream wraps."""
    reply, _ = REPLIES[what]
    message = encode_response(reply.frame, reply.durations)
    assert decode_response(message) == (reply.frame, reply.durations)
    assert encode_reply(reply._replace(error="")) == field(2, message)


def test_no_bytes_are_an_empty_message() -> None:
    """Protobuf leaves out whatever is empty, and so an empty message is one with nothing in it."""
    assert decode_request(b"") == Frame(Header(""), "", ())
    assert decode_reply(b"") == Reply(Frame(Header(""), "", ()), Durations())


def test_messages_in_turn_do_not_disturb_each_other() -> None:
    """What is remembered of one message never shows in another, in whichever order they come."""
    requests, replies = [*REQUESTS.values()], [*REPLIES.values()]
    for one, message in requests:
        for other, text in requests:
            assert [decode_request(m) for m in (message, text, text, message)] == [one, other, other, one]
    for said, message in replies:
        for reply, text in replies:
            assert [decode_reply(m) for m in (message, text, text, message)] == [said, reply, reply, said]


def test_tensors_are_views_into_the_message() -> None:
    """Decoding copies no tensor."""
    frame, message = REQUESTS["everything"]
    for _ in range(2):
        assert all(isinstance(raw, memoryview) and raw.obj is message for raw in decode_request(message).raw)
    assert frame.raw == tuple(map(bytes, decode_request(message).raw))


def test_a_header_seen_before_allows_no_more_fields_than_any_other() -> None:
    """The short cut for known headers refuses a million empty tensors like the long way does."""
    message = encode_request(REQUESTS["a tensor"][0])
    decode_request(message)
    assert len(decode_request(message + b"\x3a\x00" * (MAX_FIELDS - 10)).raw) == MAX_FIELDS - 9
    with pytest.raises(WireError, match="too many fields"):
        decode_request(message + b"\x3a\x00" * 1_000_000)


def test_a_header_seen_before_is_parsed_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that differ in id and tensors alone are not scanned again."""
    first = Frame(Header("m", (), (X,)), "1", (b"12345678",))
    decode_request(encode_request(first))
    decode_reply(encode_reply(Reply(first, Durations())))
    monkeypatch.setattr(module, "scan", lambda *_: pytest.fail("scanned"))
    second = Frame(first.header, "2", (b"abcdefgh",))
    assert decode_request(encode_request(second)) == second
    assert decode_reply(encode_reply(Reply(second, Durations(1, 2, 3)))) == Reply(second, Durations(1, 2, 3))


def test_large_headers_are_not_remembered() -> None:
    """A header of many kilobytes is parsed and forgotten, so that nobody can fill the memory with them."""
    frame = Frame(Header("m" * 5000, (), (X,)), "7", (b"12345678",))
    assert decode_request(encode_request(frame)) == frame
    assert decode_reply(encode_reply(Reply(frame, Durations()))).frame == frame
    assert module._last_request[0] == module._last_reply[0] == b""


def _truncations() -> Iterator[Any]:
    for what, (_, message) in REQUESTS.items():
        yield pytest.param(decode_request, ModelInferRequest, message, id=f"request, {what}")
    for what, (reply, message) in REPLIES.items():
        yield pytest.param(decode_reply, ModelStreamInferResponse, message, id=f"reply, {what}")
        response = encode_response(reply.frame, reply.durations)
        yield pytest.param(decode_response, ModelInferResponse, response, id=f"response, {what}")


@pytest.mark.parametrize(("decode", "kind", "message"), _truncations())
def test_a_truncated_message_is_refused_or_a_shorter_message(
    decode: Callable[[bytes], Any], kind: Any, message: bytes
) -> None:
    """Cut anywhere, it is a WireError exactly where protobuf refuses it as well."""
    for end in range(len(message)):
        decode(message)  # so that its header is known
        try:
            kind.FromString(message[:end])
        except DecodeError:
            with pytest.raises(WireError):
                decode(message[:end])
        else:
            decode(message[:end])


@pytest.mark.parametrize(
    "message",
    [
        b"\x1a\x02\xff\xfe",
        field(1, b"\xff"),
        field(1, b"m") + field(3, b"\xc3"),
        field(4, field(1, b"\xff")),
        field(5, b"\xff\xff"),
        field(4, b"\x0a\x05a"),
        field(5, field(1, b"x"), field(2, b"BF16"), field(5)),
        b"\x0b\x0c",
    ],
)
def test_bytes_that_are_no_request_are_refused(message: bytes) -> None:
    """Text that is not UTF-8, broken nested messages, groups and datatypes without typed contents are WireErrors."""
    decode_request(encode_request(REQUESTS["an id"][0]))
    with pytest.raises(WireError):
        decode_request(message)


def test_a_known_header_does_not_excuse_a_bad_rest() -> None:
    """Behind a header seen before, an id that is not UTF-8 or a tensor cut short is still refused."""
    start = field(1, b"m")
    decode_request(start)
    for rest in (b"\x1a\x01\xff", b"\x1a\x01a\x3a\x05b", b"\x1a\x05a", b"\x1a\x01a\x3a\x80", b"\x1a\x01a\x0b"):
        with pytest.raises(WireError):
            decode_request(start + rest)


def test_typed_contents_come_as_arrays() -> None:
    """A plain Open Inference client may put numbers into the message itself."""
    request = ModelInferRequest(model_name="m")
    typed = {
        "BOOL": ("bool_contents", [True, False]),
        "INT8": ("int_contents", [-128, 127]),
        "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
        "UINT8": ("uint_contents", [0, 255]),
        "UINT64": ("uint64_contents", [0, 2**64 - 1]),
        "FP32": ("fp32_contents", [0.5, -1.0]),
        "FP64": ("fp64_contents", [1e300, 0.0]),
    }
    for datatype, (name, values) in typed.items():
        entry = request.inputs.add(name=datatype, datatype=datatype, shape=[2])
        getattr(entry.contents, name).extend(values)
    request.inputs.add(name="b", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"ab")
    request.inputs.add(name="none", datatype="FP32", shape=[1])
    *arrays, elements, none = decode_request(request.SerializeToString()).header.contents
    assert [array.tolist() for array in arrays if isinstance(array, np.ndarray)] == [v for _, v in typed.values()]
    assert (elements, none) == ((b"ab",), None)


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "", "FP8"])
def test_typed_contents_of_a_datatype_that_has_none_are_refused(datatype: str) -> None:
    """The protocol has no typed contents for half precision; the sentence says where it belongs."""
    request = ModelInferRequest()
    request.inputs.add(datatype=datatype).contents.fp32_contents.append(1.0)
    with pytest.raises(WireError, match="raw_input_contents"):
        decode_request(request.SerializeToString())


def test_parameters_in_any_order_make_the_same_header() -> None:
    """Which entry of the map came first on the wire does not matter."""
    entries = [parameter(name, b"\x10\x01") for name in (b"a", b"b", b"c")]
    assert decode_request(b"".join(entries)).header == decode_request(b"".join(reversed(entries))).header


def test_a_parameter_without_a_value_is_empty_text() -> None:
    """A parameter that chooses no type does not break the header."""
    assert decode_request(parameter(b"p", b"")).header.parameters == (("p", ""),)


def test_a_reply_in_two_parts_is_merged() -> None:
    """Protobuf merges a message field that comes twice, and so does the parser."""
    _, message = REPLIES["an answer"]
    ((_, _, _, body, _),) = scan(message)
    inner = message[body:]
    cut = scan(inner)[3][2]
    reply = decode_reply(field(2, inner[:cut]) + field(1, b"oops") + field(2, inner[cut:]))
    assert reply == REPLIES["an answer"][0]._replace(error="oops")


def test_durations_of_another_type_are_ordinary_parameters() -> None:
    """A server that writes text where seconds belong does not break the reply."""
    answer = ModelInferResponse(id="7")
    answer.parameters["partway.queue_s"].string_param = "12345678"
    frame, durations = decode_response(answer.SerializeToString())
    assert durations == Durations()
    assert dict(frame.header.parameters) == {"partway.queue_s": "12345678"}


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**64 - 1), texts, st.floats(allow_nan=False).filter(lambda value: value != 0)
)
names = texts.filter(lambda name: name not in DURATIONS)
heads = st.builds(TensorHead, texts, texts, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(tuple))
headers = st.builds(
    Header,
    texts,
    st.dictionaries(names, values, max_size=4).map(lambda made: tuple(sorted(made.items()))),
    st.lists(heads, max_size=3).map(tuple),
    texts,
    st.lists(texts, max_size=3).map(tuple),
)
frames = st.builds(Frame, headers, texts, st.lists(st.binary(max_size=300), max_size=3).map(tuple))
seconds = st.floats(0, allow_nan=False)
replies = st.builds(
    Reply,
    frames.map(
        lambda frame: frame._replace(header=Header(frame.header.model, (), frame.header.tensors, frame.header.version))
    ),
    st.builds(Durations, seconds, seconds, seconds),
    texts,
)


def _as_protobuf_sees(message: Any, tensors: Any, wanted: Any, raw: Any) -> tuple[Any, ...]:
    parameters = {}
    for key, value in message.parameters.items():
        kind = value.WhichOneof("parameter_choice")
        parameters[key] = getattr(value, kind) if kind else ""
    heads = tuple(TensorHead(t.name, t.datatype, tuple(t.shape)) for t in tensors)
    names = tuple(output.name for output in wanted)
    return message.model_name, message.model_version, message.id, parameters, heads, names, tuple(raw)


def _as_we_see(frame: Frame) -> tuple[Any, ...]:
    header = frame.header
    parameters = dict(header.parameters)
    return (
        header.model,
        header.version,
        frame.id,
        parameters,
        header.tensors,
        header.requested,
        tuple(map(bytes, frame.raw)),
    )


def _assert_same_request(message: bytes) -> None:
    theirs = ModelInferRequest.FromString(message)
    seen = _as_protobuf_sees(theirs, theirs.inputs, theirs.outputs, theirs.raw_input_contents)
    assert _as_we_see(decode_request(message)) == seen


def _assert_same_reply(message: bytes) -> None:
    theirs = ModelStreamInferResponse.FromString(message)
    ours, answer = decode_reply(message), theirs.infer_response
    times = [answer.parameters.pop(name).double_param if name in answer.parameters else 0.0 for name in DURATIONS]
    assert (ours.error, ours.durations) == (theirs.error_message, tuple(times))
    seen = _as_protobuf_sees(answer, answer.outputs, (), answer.raw_output_contents)
    assert _as_we_see(ours.frame) == seen


@given(frames)
@settings(deadline=None)
def test_every_request_comes_back_and_protobuf_agrees(frame: Frame) -> None:
    """Whatever a frame holds, our bytes are a valid message to protobuf, with the same meaning."""
    message = encode_request(frame)
    assert decode_request(message) == decode_request(message) == frame
    _assert_same_request(message)


@given(replies)
@settings(deadline=None)
def test_every_reply_comes_back_and_protobuf_agrees(reply: Reply) -> None:
    """Whatever a reply holds, our bytes are a valid message to protobuf, with the same meaning."""
    message = encode_reply(reply)
    assert decode_reply(message) == decode_reply(message) == reply
    _assert_same_reply(message)


unknown = st.one_of(
    st.builds(lambda n, data: field(n, data), st.integers(8, 5000), st.binary(max_size=20)),
    st.builds(lambda n, value: varint(n << 3) + varint(value), st.integers(8, 5000), st.integers(0, 2**64 - 1)),
    st.builds(lambda n, data: varint(n << 3 | 1) + data, st.integers(8, 5000), st.binary(min_size=8, max_size=8)),
    st.builds(lambda n, data: varint(n << 3 | 5) + data, st.integers(8, 5000), st.binary(min_size=4, max_size=4)),
    st.builds(lambda n, value: varint(n << 3) + varint(value), st.integers(1, 7), st.integers(0, 2**64 - 1)),
)


def _fields(message: bytes) -> list[bytes]:
    return [message[start:end] for _, _, start, _, end in scan(message)]


@given(frames, st.lists(unknown, max_size=3), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_fields_may_come_in_any_order_repeated_and_unknown(frame: Frame, others: list[bytes], random: Any) -> None:
    """A shuffled message with fields twice and fields nobody knows means what protobuf says it means."""
    fields = _fields(encode_request(frame))
    mixed = [*fields, *random.choices(fields, k=2 if fields else 0), *others]
    random.shuffle(mixed)
    message = b"".join(mixed)
    decode_request(encode_request(frame))
    _assert_same_request(message)
    _assert_same_request(message)


@given(replies, st.lists(unknown, max_size=3), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_fields_of_a_reply_may_come_in_any_order_and_unknown(reply: Reply, others: list[bytes], random: Any) -> None:
    """The answer's own fields shuffled, in one or several pieces, mean what protobuf says they mean."""
    fields = [*_fields(encode_response(reply.frame, reply.durations)), *others]
    random.shuffle(fields)
    cut = random.randint(0, len(fields))
    message = field(2, *fields[:cut]) + field(1, reply.error.encode()) + field(2, *fields[cut:])
    decode_reply(encode_reply(reply))
    _assert_same_reply(message)
    _assert_same_reply(message)


@given(st.binary(max_size=120), st.booleans())
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_are_decoded_or_refused(data: bytes, warm: bool) -> None:
    """No bytes raise anything but a WireError, neither fresh nor behind a header known already."""
    start = field(1, b"m") if warm else b""
    for decode in (decode_request, decode_reply, decode_response):
        try:
            decode(start)
            decode(start + data)
        except WireError:
            continue


@given(st.one_of(frames.map(encode_request), replies.map(encode_reply)), st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_message_is_decoded_or_refused(message: bytes, data: st.DataObject) -> None:
    """Bytes flipped, cut out, doubled or put in raise nothing but a WireError; what parses, parses as protobuf's."""
    for decode in (decode_request, decode_reply):
        try:
            decode(message)
        except WireError:
            continue
    at = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(at, min(len(message), at + 8)))
    put = data.draw(st.one_of(st.binary(max_size=4), st.just(message[at:end] * 2)))
    damaged = message[:at] + put + message[end:]
    for decode, same in ((decode_request, _assert_same_request), (decode_reply, _assert_same_reply)):
        try:
            decode(damaged)
        except WireError:
            continue
        try:
            same(damaged)
        except DecodeError:
            continue  # we read some headers that protobuf finds too lax; the frame is checked against the plan anyway
