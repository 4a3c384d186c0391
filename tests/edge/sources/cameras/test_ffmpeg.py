"""Cameras over RTSP, by a server of this process and the FFmpeg inside OpenCV."""

import threading
from itertools import islice

import pytest
from tests.support.cameras import rtsp_camera
from tests.support.mnist_plans import PICTURES

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.ffmpeg import open_stream
from partway.edge.sources.cameras.reopening import Unreachable
from partway.edge.sources.shipped import STREAMS

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'partway[video]'")


@pytest.mark.parametrize("text", ["rtsp://h/x", "RTSP://h/x.mp4", "rtmp://h/x", "udp://0.0.0.0:5000"])
def test_streams_are_known_by_their_scheme(text: str) -> None:
    """In any case of letters, whatever the end."""
    from partway.edge.sources.registry import source_of

    assert source_of(text) is STREAMS


def test_frames_come_through_a_drop_and_a_stall(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Credentials go to the camera and nowhere else; frames are numbered through; two losses are four lines."""
    monkeypatch.setattr(reopening, "STALL_S", 1.5)
    monkeypatch.setattr(reopening, "FIRST_WAIT_S", 0.05)
    with rtsp_camera() as camera:
        camera.auth = "basic"
        place = f"127.0.0.1:{camera.port}/live"
        items = open_stream(f"rtsp://admin:secret@{place}", PICTURES)
        count = 0
        for mode in ("run", "drop", "stall"):
            if mode != "run":
                camera.mode = mode
                threading.Timer(2.5, setattr, (camera, "mode", "run")).start()
                told = len(caplog.messages)
                while len(caplog.messages) < told + 2:
                    assert next(items).name == f"rtsp://***@{place}[{count}]"
                    count += 1
            for item in islice(items, 3):
                sample = item.read()
                assert sample.name == f"rtsp://***@{place}[{count}]"
                assert sample.pixels is not None
                assert sample.pixels.std() < 3
                count += 1
        items.close()  # type: ignore[attr-defined]
    lines = [message.partition(f"{place} ")[2].split(" after")[0] for message in caplog.messages]
    assert lines == ["is lost", "answers"] * 2
    assert "secret" not in caplog.text


def test_what_does_not_answer_and_what_answers_otherwise_are_sentences() -> None:
    """A closed port, and a server that asks for another password."""
    with rtsp_camera() as camera:
        camera.auth = "basic"
        with pytest.raises(Unreachable, match="answers, but gives no stream; check the path, the user"):
            open_stream(f"rtsp://127.0.0.1:{camera.port}/live", PICTURES)
    with pytest.raises(Unreachable, match=r"camera rtsp://\*\*\*@127\.0\.0\.1:\d+/live cannot be reached"):
        open_stream(f"rtsp://u:p@127.0.0.1:{camera.port}/live", PICTURES)
