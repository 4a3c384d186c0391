"""IP cameras: motion JPEG and snapshots over HTTP, and motion JPEG over RTSP (RFC 2326, RFC 2435)."""

import base64
import hashlib
import io
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

USER, PASSWORD = "admin", "s3cr3t@/?"


def jpeg(grey: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A JPEG of one grey, with the standard Huffman tables and 4:2:0 sampling."""
    file = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(file, "JPEG", subsampling=2, quality=90)
    return file.getvalue()


class Camera:
    """What a camera does now. ``mode``: ``run`` sends frames, ``stall`` sends nothing, ``drop`` ends connections.

    Frame n of all connections together is of grey 10 * (n % 20).
    """

    def __init__(self) -> None:
        self.mode, self.sent, self.connections = "run", 0, 0
        self.auth = ""
        self.every_s = 0.02
        self.port = 0

    def frames(self) -> Iterator[bytes]:
        """JPEGs until the camera drops the connection."""
        self.connections += 1
        while self.mode != "drop":
            time.sleep(self.every_s)
            if self.mode == "run":
                self.sent += 1
                yield jpeg(10 * ((self.sent - 1) % 20))


class _Http(BaseHTTPRequestHandler):
    camera: Camera

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.camera.mode == "drop":
            return
        if self.camera.auth and not self._authorised():
            self._answer(401, "text/html", b"no", ("WWW-Authenticate", self._challenge()))
        elif path == "/snapshot.jpg":
            self._answer(200, "image/jpeg", next(self.camera.frames()))
        elif path == "/page":
            self._answer(200, "text/html", b"<html>")
        elif path == "/clip":
            self._answer(200, "video/mp4", b"0000")
        elif path == "/moved":
            self._answer(302, "text/plain", b"", ("Location", "/mjpeg"))
        elif path in ("/mjpeg", "/bare", "/damaged"):
            self._stream(path)
        else:
            self._answer(404, "text/plain", b"")

    def _answer(self, status: int, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, path: str) -> None:
        self.send_response(200)
        dashes = "--" if path == "/bare" else ""
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={dashes}frame")
        self.end_headers()
        try:
            for index, frame in enumerate(self.camera.frames()):
                body = frame[:100] if path == "/damaged" and index % 2 else frame
                length = b"" if path == "/bare" else b"Content-Length: %d\r\n" % len(body)
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + body + b"\r\n")
        except OSError:
            return

    def _challenge(self) -> str:
        return 'Basic realm="cam"' if self.camera.auth == "basic" else 'Digest realm="cam", nonce="n1", qop="auth"'

    def _authorised(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.camera.auth == "basic":
            return given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        fields = {
            name.strip(): value.strip(' "')
            for name, _, value in (part.partition("=") for part in given.removeprefix("Digest ").split(","))
        }
        if not fields.get("response"):
            return False
        half1 = hashlib.md5(f"{USER}:cam:{PASSWORD}".encode()).hexdigest()
        half2 = hashlib.md5(f"GET:{self.path}".encode()).hexdigest()
        whole = f"{half1}:n1:{fields['nc']}:{fields['cnonce']}:auth:{half2}"
        return fields["response"] == hashlib.md5(whole.encode()).hexdigest()


class _Rtsp(socketserver.StreamRequestHandler):
    camera: Camera

    def handle(self) -> None:
        playing = False
        while not playing and (request := self._request()):
            method, headers = request
            more, body = "", ""
            if self.camera.mode == "drop":
                return
            if self.camera.auth and "authorization" not in headers and method != "OPTIONS":
                more = 'WWW-Authenticate: Basic realm="cam"\r\n'
                self._reply(headers, "401 Unauthorized", more)
                continue
            if method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track0\r\n"
                )
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "PLAY":
                more, playing = "Session: 1\r\n", True
            self._reply(headers, "200 OK", more, body)
        try:
            if playing:
                self._play()
        except OSError:
            return

    def _request(self) -> tuple[str, dict[str, str]] | None:
        lines = []
        while (line := self.rfile.readline().decode().strip()) or not lines:
            if not line:
                return None
            lines.append(line)
        pairs = (line.partition(":") for line in lines[1:])
        return lines[0].split()[0], {name.lower(): value.strip() for name, _, value in pairs}

    def _reply(self, headers: dict[str, str], status: str, more: str, body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{more}\r\n{body}".encode())

    def _play(self) -> None:
        sequence = 0
        for index, frame in enumerate(self.camera.frames()):
            tables, scan, width, height = _parts(frame)
            head = struct.pack("!BBH", 0, 0, len(tables)) + tables
            for start in range(0, len(scan), 1000):
                piece = scan[start : start + 1000]
                marker = 0x80 if start + 1000 >= len(scan) else 0
                rtp = struct.pack("!BBHII", 0x80, marker | 26, sequence & 0xFFFF, index * 3000, 7)
                own = struct.pack("!I", start)[:4] + struct.pack("!BBBB", 1, 255, width // 8, height // 8)
                packet = rtp + own + (head if start == 0 else b"") + piece
                self.wfile.write(struct.pack("!BBH", 0x24, 0, len(packet)) + packet)
                sequence += 1


def _parts(frame: bytes) -> tuple[bytes, bytes, int, int]:
    """Quantisation tables, entropy-coded scan, width and height of a baseline JPEG."""
    at, tables, width, height = 2, b"", 0, 0
    while True:
        marker, length = frame[at + 1], struct.unpack("!H", frame[at + 2 : at + 4])[0]
        body = frame[at + 4 : at + 2 + length]
        if marker == 0xDB:
            tables += b"".join(body[place + 1 : place + 65] for place in range(0, len(body), 65))
        elif marker == 0xC0:
            height, width = struct.unpack("!HH", body[1:5])
        at += 2 + length
        if marker == 0xDA:
            return tables, frame[at:-2], width, height


class _RtspServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


@contextmanager
def http_camera(camera: Camera | None = None, port: int = 0) -> Iterator[Camera]:
    """A camera over HTTP: /mjpeg, /bare (no lengths), /damaged, /snapshot.jpg, /moved, /page, /clip."""
    made = camera or Camera()
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Http,), {"camera": made}))
    with _served(server, made):
        yield made


@contextmanager
def rtsp_camera(camera: Camera | None = None, port: int = 0) -> Iterator[Camera]:
    """A camera over RTSP, with any path."""
    made = camera or Camera()
    server = _RtspServer(("127.0.0.1", port), type("Handler", (_Rtsp,), {"camera": made}))
    with _served(server, made):
        yield made


@contextmanager
def _served(server: Any, camera: Camera) -> Iterator[None]:
    camera.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        camera.mode = "drop"
        server.shutdown()
        server.server_close()
        thread.join(10)
