"""The input sources that ship with Partway. What opens one is imported when it is opened: a device uses one or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from partway.edge.sources.source import Source

if TYPE_CHECKING:
    from partway.edge.sources.files import Item

CAMERA, STDIN, WATCH, MICROPHONE = "camera:", "-", "watch:", "mic:"
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mjpeg", ".wmv", ".flv", ".ts")


def _later(module: str, name: str) -> Callable[..., Iterator[Item]]:
    def opened(*args: Any, **settings: Any) -> Iterator[Item]:
        items: Iterator[Item] = getattr(import_module(f"partway.edge.sources.{module}"), name)(*args, **settings)
        return items

    return opened


CAMERAS = Source(_later("cameras.device", "open_camera"), prefix=CAMERA, endless=True, takes=("patient",))
HTTP_CAMERAS = Source(_later("cameras.http", "open_http"), schemes=("http", "https"), endless=True, takes=("patient",))
STREAMS = Source(
    _later("cameras.ffmpeg", "open_stream"),
    schemes=("rtsp", "rtsps", "rtmp", "udp"),
    endless=True,
    takes=("patient",),
)
MICROPHONES = Source(
    _later("audio.microphone", "open_microphone"), prefix=MICROPHONE, endless=True, takes=("hop", "rate_hz", "patient")
)
WAV_FILES = Source(_later("audio.wav", "open_wav"), suffixes=(".wav", ".wave"), takes=("hop", "rate_hz"))
VIDEO_FILES = Source(_later("video", "open_video"), suffixes=VIDEOS)
WATCHED = Source(_later("watch", "open_watch"), prefix=WATCH, endless=True)
STDIN_FRAMES = Source(_later("stdin", "open_stdin"), prefix=STDIN, live=True, takes=("stdin_shape",))
