"""Cameras over HTTP, by a server of this process: streams, snapshots, credentials, drops and stalls."""

import gc
import sys
import threading
import time
from itertools import islice
from urllib.parse import quote

import pytest
from tests.support.cameras import PASSWORD, USER, http_camera
from tests.support.mnist_plans import PICTURES, TENSORS

from partway.edge.sources.cameras import http, reopening
from partway.edge.sources.cameras.http import open_http
from partway.edge.sources.cameras.reopening import Unreachable
from partway.edge.sources.shipped import HTTP_CAMERAS
from partway.errors import InputError


@pytest.mark.parametrize("path", ["mjpeg", "bare", "moved"])
def test_the_frames_of_motion_jpeg_are_read_without_opencv(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without lengths, and after a redirect; frames are numbered, and each is newer than the one before."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with http_camera() as camera:
        url = f"http://127.0.0.1:{camera.port}/{path}"
        samples = [item.read() for item in islice(open_http(url, PICTURES), 4)]
    assert [sample.name for sample in samples] == [f"{url}[{index}]" for index in range(4)]
    greys = [sample.pixels.mean() for sample in samples if sample.pixels is not None]
    assert greys == sorted(set(greys))
    assert all(sample.live for sample in samples)


def test_a_damaged_picture_costs_only_itself() -> None:
    """Every second picture is cut off; the others are read."""
    with http_camera() as camera:
        items = open_http(f"http://127.0.0.1:{camera.port}/damaged", PICTURES)
        outcomes = []
        for item in islice(items, 8):
            try:
                outcomes.append(item.read().name != "")
            except InputError as error:
                assert "is no picture that Pillow can read" in str(error)
                outcomes.append(False)
    assert set(outcomes) == {True, False}


def test_a_snapshot_is_fetched_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that gives one JPEG is polled; each answer is a frame."""
    monkeypatch.setattr(http, "POLL_S", 0.05)
    with http_camera() as camera:
        begun_s = time.monotonic()
        samples = [
            item.read() for item in islice(open_http(f"http://127.0.0.1:{camera.port}/snapshot.jpg", PICTURES), 4)
        ]
        assert time.monotonic() - begun_s >= 3 * http.POLL_S
        assert camera.connections == 4
    assert [sample.pixels.mean() for sample in samples if sample.pixels is not None] == [0, 10, 20, 30]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib leaves the 401 to the collector
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_credentials_are_sent_and_never_shown(auth: str) -> None:
    """By both ways of HTTP; wrong ones and missing ones are sentences that show none."""
    with http_camera() as camera:
        camera.auth = auth
        place = f"127.0.0.1:{camera.port}/mjpeg"
        (item,) = islice(open_http(f"http://{USER}:{quote(PASSWORD, safe='')}@{place}", PICTURES), 1)
        assert item.read().name == f"http://***@{place}[0]"
        for credentials, says in (("", "asks for a user and password"), ("admin:wrong@", "refuses this user")):
            with pytest.raises(InputError, match=says) as caught:
                open_http(f"http://{credentials}{place}", PICTURES, patient=True)
            assert "wrong" not in str(caught.value)
    gc.collect()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("page", "answers with text/html, not pictures"),
        ("clip", "is a file of 4 bytes, no live stream"),
        ("none", "answers HTTP 404"),
    ],
)
def test_what_is_no_camera_is_a_sentence_even_for_a_service(path: str, says: str) -> None:
    """Waiting does not turn a page into a camera."""
    with http_camera() as camera, pytest.raises(InputError, match=says):
        open_http(f"http://127.0.0.1:{camera.port}/{path}", PICTURES, patient=True)


def test_a_drop_and_a_stall_are_each_a_loss_and_a_return(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames go on and are numbered through."""
    monkeypatch.setattr(reopening, "STALL_S", 0.3)
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.02)
    with http_camera() as camera:
        url = f"http://127.0.0.1:{camera.port}/mjpeg"
        items = open_http(url, PICTURES)
        count = 0
        for mode in ("drop", "stall"):
            assert next(items).read().name == f"{url}[{count}]"
            camera.mode = mode
            threading.Timer(0.8, setattr, (camera, "mode", "run")).start()
            told, count = len(caplog.messages), count + 1
            while len(caplog.messages) < told + 2:
                assert next(items).read().name == f"{url}[{count}]"
                count += 1
        items.close()  # type: ignore[attr-defined]
    lines = [message.partition(f"{url} ")[2] for message in caplog.messages]
    assert [line.split(" after")[0] for line in lines] == ["is lost", "answers"] * 2
    assert "(no frame for 0.3 s); trying again" in lines[2]


def test_a_camera_that_is_off_is_a_sentence_or_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service gets its frames once the camera is there."""
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.02)
    with http_camera() as camera:
        port = camera.port
    url = f"http://127.0.0.1:{port}/mjpeg"
    with pytest.raises(Unreachable, match="cannot be reached"):
        open_http(url, PICTURES)
    items = open_http(url, PICTURES, patient=True)
    with http_camera(port=port):
        item = next(items)
        assert item.late
        assert item.read().name == f"{url}[0]"


def test_a_model_of_tensors_asks_no_camera() -> None:
    """The plan is looked at first."""
    with pytest.raises(InputError, match="does not take pictures"):
        open_http("http://127.0.0.1:9/x", TENSORS)


@pytest.mark.parametrize("text", ["http://h/x", "HTTPS://h/x", "http://h/clip.mp4", "http://h/a.png"])
def test_an_address_is_an_address_whatever_its_end(text: str) -> None:
    """The scheme decides, in any case of letters."""
    from partway.edge.sources.registry import source_of

    assert source_of(text) is HTTP_CAMERAS
