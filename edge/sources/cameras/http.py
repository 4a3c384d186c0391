"""``--input http://…``: motion JPEG, a JPEG that is fetched again and again, or what else FFmpeg reads.

Pictures need no OpenCV. ``urllib`` is imported only when such a camera is opened.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from partway.edge.sources.cameras import reopening
from partway.edge.sources.cameras.address import Address, camera_address
from partway.edge.sources.cameras.ffmpeg import FfmpegFeed
from partway.edge.sources.cameras.motion_jpeg import MOST_BYTES, pictures
from partway.edge.sources.cameras.newest import Newest
from partway.edge.sources.cameras.reopening import Feed, Read, Unreachable
from partway.edge.sources.files import Item, Sample, timed
from partway.edge.sources.video import picture_preprocess
from partway.errors import InputError
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.preprocess import Preprocess

POLL_S = 1.0
"""Between two pictures of an address that gives one at a time."""
NO_STREAMS = ("text/html", "application/json", "text/plain", "text/xml", "application/xml")


class MotionJpegFeed:
    """A camera that sends one JPEG after another in one answer."""

    def __init__(self, response: Any, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        self._newest: Newest[bytes] = Newest(partial(_parts, response))

    def next(self) -> Read:
        """See Feed."""
        return partial(_sample, body=self._newest.take(), preprocess=self._preprocess)

    def close(self) -> None:
        """See Feed."""
        self._newest.close()


class SnapshotFeed:
    """A camera that answers with one picture; it is asked every POLL_S."""

    def __init__(self, address: Address, body: bytes, preprocess: Preprocess) -> None:
        self._address, self._body, self._preprocess = address, body, preprocess
        self._due_s = 0.0

    def next(self) -> Read:
        """See Feed."""
        body, self._body = self._body, b""
        if not body:
            time.sleep(max(0.0, self._due_s - time.monotonic()))
            response = _request(self._address)
            with response:
                body = _body(self._address, response)
        self._due_s = time.monotonic() + POLL_S
        return partial(_sample, body=body, preprocess=self._preprocess)

    def close(self) -> None:
        """See Feed."""


def _parts(response: Any, _wanted: threading.Event) -> Iterator[bytes]:
    with response:
        yield from pictures(response, response.headers.get_param("boundary", ""))


def _sample(name: str, body: bytes, preprocess: Preprocess) -> Sample:
    from PIL import Image

    begun_s = time.perf_counter()
    try:
        with Image.open(io.BytesIO(body)) as picture:
            return timed(begun_s, Sample(name, preprocess.pixels(picture)), live=True)
    except InputError:
        raise
    except Exception as error:  # for damaged pictures Pillow raises many kinds: struct.error, IndexError, TypeError
        raise InputError(f"{name} is no picture that Pillow can read; check the camera's address") from error


def _body(address: Address, response: Any) -> bytes:
    try:
        body: bytes = response.read(MOST_BYTES)
    except Exception as error:
        raise Unreachable(f"camera {address.label} broke off ({_reason(error)})") from None
    return body


def _request(address: Address) -> Any:
    """The answer to a GET, redirects followed. Raises InputError, Unreachable. No message holds the credentials."""
    import urllib.error
    import urllib.request

    handlers: list[urllib.request.BaseHandler] = []
    if address.user is not None:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, address.url, address.user, address.password)
        handlers = [urllib.request.HTTPDigestAuthHandler(passwords), urllib.request.HTTPBasicAuthHandler(passwords)]
    opener = urllib.request.build_opener(*handlers)
    try:
        return opener.open(address.url, timeout=reopening.STALL_S)  # the scheme is http or https
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(address, error.code, error.reason) from None
    except Exception as error:  # HTTPException, OSError, ValueError of a header
        hint = "check the address and the network"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = "set SSL_CERT_FILE to a file with the camera's certificate"
        raise Unreachable(f"camera {address.label} cannot be reached ({_reason(error)}); {hint}") from None


def _refused(address: Address, status: int, reason: str) -> InputError:
    if status in (401, 403):
        given = "refuses this user and password" if address.user is not None else "asks for a user and password"
        return InputError(f"camera {address.label} {given} (HTTP {status}); write http://USER:PASSWORD@HOST/…")
    if status >= 500 or status in (408, 425, 429):
        return Unreachable(f"camera {address.label} answers HTTP {status} {reason}; check the camera")
    return InputError(f"camera {address.label} answers HTTP {status} {reason}; check the path")


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__)


def open_feed(text: str, address: Address, preprocess: Preprocess) -> Feed:
    """Connect, and look at what the address gives. Raises InputError, Unreachable."""
    response = _request(address)
    kind = response.headers.get_content_type()
    if response.headers.get_content_maintype() == "multipart":
        return MotionJpegFeed(response, preprocess)
    with response:
        if kind.startswith("image/"):
            return SnapshotFeed(address, _body(address, response), preprocess)
        size = response.headers.get("Content-Length")
    if kind in NO_STREAMS:
        raise InputError(
            f"{address.label} answers with {kind}, not pictures; look up the address of the camera's stream"
        )
    if size is not None and "mpegurl" not in kind:
        raise InputError(f"{address.label} is a file of {size} bytes, no live stream; download it, and give the file")
    return FfmpegFeed(text, address, preprocess)


def open_http(text: str, plan: Plan, patient: bool = False) -> Iterator[Item]:
    """The frames of a camera by its address. Raises InputError at once if it cannot be opened."""
    address = camera_address(text)
    preprocess = picture_preprocess(address.label, plan)
    return reopening.reopening(address.label, lambda: open_feed(text, address, preprocess), patient)
