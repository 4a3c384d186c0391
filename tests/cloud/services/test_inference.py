"""The Open Inference Protocol as a plain client sees it, over a real connection."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime
import pytest
from tests.cloud.conftest import Gate
from tests.support.served import PATIENCE_S, Array, Client, Cloud, outputs, request

import partway
from partway.cloud.services.inference import MAX_UNANSWERED
from partway.partitioner.zoo import model_folder
from partway.proto import messages as m
from partway.proto.codecs.image import encode_image
from partway.proto.codecs.packing import pack

RNG = np.random.default_rng(0)
IMAGE = RNG.random((1, 1, 28, 28), dtype=np.float32)


def by_hand(values: dict[str, Array], first: int = 0, last: int = 3) -> dict[str, Array]:
    """What ONNX Runtime alone makes of the shipped stage files."""
    for index in range(first, last):
        session = onnxruntime.InferenceSession(model_folder("mnist") / f"stage{index}.onnx")
        names = [output.name for output in session.get_outputs()]
        values = dict(zip(names, session.run(names, values), strict=True))
    return values


def double(x: float, frame_id: str = "7", model: str = "double", **parameters: object) -> bytes:
    """A frame for a model that doubles."""
    array = np.full((1, 4), x, np.float32)
    return bytes(
        request(model, {"x": array}, frame_id, {f"partway.{k}": v for k, v in parameters.items()}).SerializeToString()
    )


def test_a_plain_client_gets_the_models_own_answer(client: Client) -> None:
    """A float32 image in raw contents, no parameter of ours: the logits are ONNX Runtime's on the stage files."""
    response = client.infer(request("mnist", {"image": IMAGE}))
    assert (response.model_name, response.model_version, response.id) == ("mnist", "1", "7")
    assert np.array_equal(outputs(response)["logits"], by_hand({"image": IMAGE})["logits"])


def test_a_plain_client_may_stream(client: Client) -> None:
    """Each reply has its frame's id and its frame's answer, in the order of the frames, in Triton's envelope."""
    images = [RNG.random((1, 1, 28, 28), dtype=np.float32) for _ in range(20)]
    replies = client.stream(
        request("mnist", {"image": image}, f"f{i}").SerializeToString() for i, image in enumerate(images)
    )
    assert [reply.infer_response.id for reply in replies] == [f"f{i}" for i in range(20)]
    for reply, image in zip(replies, images, strict=True):
        assert not reply.error_message
        assert np.array_equal(outputs(reply.infer_response)["logits"], by_hand({"image": image})["logits"])


@pytest.mark.parametrize("k", range(4))
def test_every_split_is_answered(client: Client, k: int) -> None:
    """From any cut on, the suffix gives what the whole model would have."""
    live = by_hand({"image": IMAGE}, 0, k)
    response = client.infer(request("mnist", live, parameters={"partway.cut": k}))
    assert np.array_equal(outputs(response)["logits"], by_hand({"image": IMAGE})["logits"])


def test_the_cloud_tells_how_long_it_took(client: Client) -> None:
    """Waiting, decoding and the suffix travel back as seconds."""
    parameters = client.infer(request("mnist", {"image": IMAGE})).parameters
    assert set(parameters) == {"partway.queue_s", "partway.decode_s", "partway.suffix_s"}
    assert all(value.double_param >= 0 for value in parameters.values())
    assert parameters["partway.suffix_s"].double_param > 0


def test_a_tensor_may_lie_anywhere_in_the_message(client: Client) -> None:
    """The answer does not depend on how the tensor's bytes happen to be aligned."""
    replies = client.stream(request("mnist", {"image": IMAGE}, "i" * n).SerializeToString() for n in range(1, 18))
    assert len({reply.infer_response.raw_output_contents[0] for reply in replies}) == 1


def test_a_batch_is_answered_like_its_samples(client: Client) -> None:
    """Five images in one frame get the five answers."""
    images = RNG.random((5, 1, 28, 28), dtype=np.float32)
    together = outputs(client.infer(request("mnist", {"image": images})))["logits"]
    alone = [outputs(client.infer(request("mnist", {"image": image[None]})))["logits"] for image in images]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4, atol=1e-4)


def test_half_precision_is_nearly_the_same(client: Client) -> None:
    """A coded activation is decoded before the suffix runs."""
    head, data = pack("fp16", "image", IMAGE)
    asked = m.ModelInferRequest(model_name="mnist", raw_input_contents=[bytes(data)])
    asked.inputs.add(name=head.name, datatype=head.datatype, shape=head.shape)
    asked.parameters["partway.codec"].string_param = "fp16"
    exact = by_hand({"image": IMAGE})["logits"]
    np.testing.assert_allclose(outputs(client.infer(asked))["logits"], exact, atol=0.05)


@pytest.mark.parametrize("codec", ["u8", "png", "webp-lossless", "jpeg90"])
def test_pictures_may_be_sent_as_they_are(client: Client, codec: str) -> None:
    """One picture or several in one frame; lossless ones give exactly what their tensor would have."""
    pixels = RNG.integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    coded = [encode_image(codec, picture) for picture in pixels]
    asked = m.ModelInferRequest(model_name="mnist")
    asked.inputs.add(name="image", datatype="BYTES", shape=[3])
    asked.raw_input_contents.append(b"".join(len(body).to_bytes(4, "little") + body for body in coded))
    asked.parameters["partway.codec"].string_param = codec
    logits = outputs(client.infer(asked))["logits"]
    assert logits.shape == (3, 10)
    if codec != "jpeg90":
        tensor = ((pixels.transpose(0, 3, 1, 2) / 255 - 0.1307) / 0.3081).astype(np.float32)
        np.testing.assert_allclose(logits, by_hand({"image": tensor})["logits"], rtol=1e-4, atol=1e-3)


def test_numbers_may_be_written_into_the_message(client: Client) -> None:
    """Typed contents are the other way the protocol knows, and work before and after raw ones."""
    a, b, flag = np.array([-(2**63), 2**63 - 1]), np.array([[-128, 127]], np.int8), np.array([True])
    raw = request("pair", {"a": a, "b": b, "flag": flag})
    typed = m.ModelInferRequest(model_name="pair")
    for head in raw.inputs:
        typed.inputs.add(name=head.name, datatype=head.datatype, shape=head.shape)
    typed.inputs[0].contents.int64_contents.extend(a.tolist())
    typed.inputs[1].contents.int_contents.extend([-128, 127])
    typed.inputs[2].contents.bool_contents.append(True)
    for asked in (raw, typed, raw, typed):
        made = outputs(client.infer(asked))
        assert (made["c"].tolist(), made["d"].tolist(), made["e"].tolist()) == (a.tolist(), [[-128, 127]], [False])


def test_inputs_may_come_in_any_order(client: Client) -> None:
    """Tensors are found by name."""
    a, b, flag = np.array([1, 2]), np.array([[3, 4]], np.int8), np.array([False])
    for order in ({"a": a, "b": b, "flag": flag}, {"flag": flag, "b": b, "a": a}):
        made = outputs(client.infer(request("pair", order)))
        assert (made["c"].tolist(), made["d"].tolist(), made["e"].tolist()) == ([1, 2], [[3, 4]], [True])


def test_a_client_may_choose_its_outputs(client: Client) -> None:
    """Only the outputs asked for are sent, in the order asked."""
    asked = request("pair", {"a": np.array([1, 2]), "b": np.array([[3, 4]], np.int8), "flag": np.array([False])})
    for names in (["d"], ["e", "c"], []):
        del asked.outputs[:]
        for name in names:
            asked.outputs.add(name=name)
        assert list(outputs(client.infer(asked))) == (names or ["c", "d", "e"])


def test_parameters_of_other_servers_do_not_matter(client: Client) -> None:
    """What Triton's client sends along, such as a priority, is no reason to refuse."""
    asked = request("double", {"x": np.ones((1, 4), np.float32)}, parameters={"sequence_id": 5, "triton_enable": True})
    asked.parameters["priority"].uint64_param = 3
    asked.model_version = "1"
    assert outputs(client.infer(asked))["y"].tolist() == [[2, 2, 2, 2]]


def test_the_server_tells_what_it_is(client: Client) -> None:
    """Liveness, readiness and metadata of server and model, as the protocol has them."""
    assert m.ServerLiveResponse.FromString(client.call("ServerLive")).live
    assert m.ServerReadyResponse.FromString(client.call("ServerReady")).ready
    about = m.ServerMetadataResponse.FromString(client.call("ServerMetadata"))
    assert (about.name, about.version) == ("partway", partway.__version__)
    for name, ready in (("mnist", True), ("nothing", False)):
        asked = m.ModelReadyRequest(name=name).SerializeToString()
        assert m.ModelReadyResponse.FromString(client.call("ModelReady", asked)).ready is ready
    asked = m.ModelMetadataRequest(name="mnist").SerializeToString()
    model = m.ModelMetadataResponse.FromString(client.call("ModelMetadata", asked))
    assert (model.name, list(model.versions), model.platform) == ("mnist", ["1"], "partway_onnx")
    described = [(t.name, t.datatype, list(t.shape)) for t in (*model.inputs, *model.outputs)]
    assert described == [("image", "FP32", [-1, 1, 28, 28]), ("logits", "FP32", [-1, 10])]


def test_what_is_not_offered_is_unimplemented(client: Client) -> None:
    """Triton's management calls end at once with the status clients expect."""
    for method in ("ModelConfig", "RepositoryModelLoad", "SystemSharedMemoryRegister"):
        assert client.refusal(method)[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("model", ["double", "slow"])
def test_long_and_short_suffixes_answer_alike(client: Client, model: str) -> None:
    """On the event loop or in the thread, unary or streamed: the same answer."""
    assert outputs(m.ModelInferResponse.FromString(client.call("ModelInfer", double(3, model=model))))["y"][0, 0] == 6
    (reply,) = client.stream([double(3, model=model)])
    assert outputs(reply.infer_response)["y"][0, 0] == 6


def test_replies_keep_the_order_of_frames_of_different_speed(client: Client) -> None:
    """Frames that take long, frames that take nothing and frames that are refused are answered in turn."""
    models = ["slow", "double", "unknown", "double", "slow", "slow", "unknown", "double"] * 8
    replies = client.stream(double(i, str(i), model) for i, model in enumerate(models))
    assert [reply.infer_response.id for reply in replies] == [str(i) for i in range(len(models))]
    for i, (reply, model) in enumerate(zip(replies, models, strict=True)):
        if model == "unknown":
            assert "is not served here" in reply.error_message
        else:
            assert outputs(reply.infer_response)["y"][0, 0] == 2 * i


def test_streams_do_not_mix(cloud: Cloud) -> None:
    """Four devices at once, each with two hundred frames of the same ids, each get their own answers."""

    def device(number: int) -> list[float]:
        with Client(cloud.port) as client:
            replies = client.stream(double(number * 1000 + i, str(i), ("double", "slow")[i % 2]) for i in range(200))
            return [float(outputs(reply.infer_response)["y"][0, 0]) for reply in replies]

    with ThreadPoolExecutor(4) as pool:
        for number, answers in enumerate(pool.map(device, range(4))):
            assert answers == [2.0 * (number * 1000 + i) for i in range(200)]


def test_two_thousand_frames_may_be_sent_before_one_reply_is_read(client: Client) -> None:
    """None is lost, all come in order."""
    stream = client.open()
    for i in range(2000):
        stream.send(double(i, str(i), ("double", "slow")[i % 7 == 0]))
    assert [float(outputs(reply.infer_response)["y"][0, 0]) for reply in stream.rest()] == [
        2.0 * i for i in range(2000)
    ]


def test_a_stream_takes_only_so_many_frames_in_advance(gated: Cloud, gate: Gate) -> None:
    """While a suffix runs, the server reads a window of frames and no more, and others are still answered."""
    with Client(gated.port) as client, Client(gated.port) as other:
        stream = client.open()
        for i in range(500):
            stream.send(double(i, str(i), "held"))
        assert gate.reached.acquire(timeout=PATIENCE_S)
        for i in range(200):  # the server has all the time to read on
            assert outputs(m.ModelInferResponse.FromString(other.call("ModelInfer", double(i))))["y"][0, 0] == 2 * i
        assert MAX_UNANSWERED - 1 <= gated.stats.queued <= MAX_UNANSWERED + 1
        gate.opened.set()
        assert [reply.infer_response.id for reply in stream.rest()] == [str(i) for i in range(500)]


def test_frames_nobody_waits_for_are_not_computed(gated: Cloud, gate: Gate) -> None:
    """When a device walks away, the frame that runs is finished and those behind it are dropped."""
    with Client(gated.port) as client:
        stream = client.open()
        for i in range(20):
            stream.send(double(i, str(i), "held"))
        stream.send(double(1, "last", "unknown"))
        assert gate.reached.acquire(timeout=PATIENCE_S)
        client.until(lambda: gated.stats.queued == 19)
        stream.cancel()
        client.until(lambda: gated.stats.cancelled == 19)
        gate.opened.set()
        assert (
            outputs(m.ModelInferResponse.FromString(client.call("ModelInfer", double(5, model="held"))))["y"][0, 0]
            == 10
        )
    assert gate.runs == 2


@pytest.mark.parametrize("step", ["at once", "after a frame", "after a reply", "while waiting", "after half-close"])
def test_a_device_may_walk_away_at_any_step(gated: Cloud, gate: Gate, step: str) -> None:
    """Cancelled before, between and behind its frames, a stream leaves the server as it was."""
    with Client(gated.port) as client:
        for _ in range(5):
            stream = client.open()
            if step == "after a frame":
                stream.send(double(1))
            elif step == "after a reply":
                stream.send(double(1))
                stream.read()
                stream.send(double(1))
            elif step in ("while waiting", "after half-close"):
                stream.send(double(1, model="held"))
                assert gate.reached.acquire(timeout=PATIENCE_S)
                if step == "after half-close":
                    stream.half_close()
                gate.opened.set()
            stream.cancel()
            assert stream.call.code() is grpc.StatusCode.CANCELLED
        (reply,) = client.stream([double(21)])
        assert outputs(reply.infer_response)["y"][0, 0] == 42


def test_a_stream_without_frames_ends_well(client: Client) -> None:
    """Half-closed at once, it ends with status OK and no reply."""
    assert client.stream([]) == []


def test_a_unary_caller_may_walk_away(gated: Cloud, gate: Gate) -> None:
    """A call whose own deadline passes is given up, and the next is answered."""
    with Client(gated.port) as client:
        call = client.channel.unary_unary(f"/{m.INFERENCE_SERVICE}/ModelInfer").future(double(1, model="held"))
        assert gate.reached.acquire(timeout=PATIENCE_S)
        call.cancel()
        assert call.cancelled()
        gate.opened.set()
        assert (
            outputs(m.ModelInferResponse.FromString(client.call("ModelInfer", double(2, model="held"))))["y"][0, 0] == 4
        )


def test_a_frame_that_waited_too_long_is_refused(gated: Cloud, gate: Gate) -> None:
    """A deadline of a microsecond has passed when the frame before is done; the stream goes on."""
    with Client(gated.port) as client:
        stream = client.open()
        stream.send(double(1, "first", "held"))
        stream.send(double(2, "late", "held", deadline_ms=0.001))
        assert gate.reached.acquire(timeout=PATIENCE_S)
        gate.opened.set()
        stream.send(double(3, "patient", "held", deadline_ms=1e6))
        first, late, patient = stream.rest()
    assert "waited past its deadline of 0.001 ms" in late.error_message
    assert [reply.infer_response.id for reply in (first, late, patient)] == ["first", "late", "patient"]
    assert outputs(patient.infer_response)["y"][0, 0] == 6
    assert gate.runs == 2


def test_many_connections_may_come_and_go(cloud: Cloud) -> None:
    """A hundred devices that connect, send one frame and leave are each answered."""

    def device(number: int) -> bool:
        with Client(cloud.port) as client:
            (reply,) = client.stream([double(number)])
            return bool(outputs(reply.infer_response)["y"][0, 0] == 2 * number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(device, range(100)))
    assert threading.active_count() < 50
