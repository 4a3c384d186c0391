"""HTTP pages for people and tools: health, the models, and metrics. Frames use gRPC.

The paths follow the Open Inference Protocol v2 where it defines them. Needs the extra ``cloud`` (starlette, uvicorn,
prometheus-client).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from partway.errors import InputError, MissingPackage
from partway.proto.datatypes import oip_datatype
from partway.proto.tensors import TensorSpec

try:
    import uvicorn
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from partway.cloud.http_api.metrics import registry
except ImportError as error:
    raise MissingPackage(
        f"--http-port needs starlette, uvicorn and prometheus-client ({error}); pip install 'partway[cloud]'"
    ) from error

import partway

if TYPE_CHECKING:
    from partway.cloud.access.certificates import Certificates
    from partway.cloud.server import CloudServer


OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")


def application(server: CloudServer) -> Starlette:
    """The HTTP application of a server."""
    numbers = registry(server)

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": server.inference.ready}, 200 if server.inference.ready else 503)

    async def about(_: Request) -> Response:
        return JSONResponse({"name": "partway", "version": partway.__version__, "extensions": ["partway.v1.Split"]})

    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        found = server.models.get(name)
        if found is None:
            return JSONResponse({"error": f"model {name!r:.80} is not served here"}, 404)
        if request.url.path.endswith("/ready"):
            return JSONResponse({"name": name, "ready": server.inference.ready}, 200 if server.inference.ready else 503)
        tensors = {
            kind: [_tensor(found.plan.tensors[value]) for value in values]
            for kind, values in (("inputs", found.plan.inputs), ("outputs", found.plan.outputs))
        }
        platform = f"partway_{found.plan.engine}"
        return JSONResponse({"name": name, "versions": ["1"], "platform": platform, **tensors})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(numbers), media_type=CONTENT_TYPE_LATEST)

    async def behind_token(request: Request, inner: RequestResponseEndpoint) -> Response:
        """Health needs no token; every other page needs it, as over gRPC."""
        why = server.access.refusal(request.headers.getlist("authorization"))
        if why is None or request.url.path in OPEN_PATHS:
            return await inner(request)
        return JSONResponse({"error": why}, 401, {"WWW-Authenticate": "Bearer"})

    return Starlette(
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=behind_token)],
        routes=[
            Route("/v2/health/live", live),
            Route("/v2/health/ready", ready),
            Route("/v2", about),
            Route("/v2/models/{model}", model),
            Route("/v2/models/{model}/ready", model),
            Route("/metrics", metrics),
        ],
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": oip_datatype(spec.dtype), "shape": shape}


def _tls(certificates: Certificates | None) -> dict[str, Any]:
    """uvicorn's options for the certificates that gRPC uses."""
    if certificates is None:
        return {}
    own = {"ssl_certfile": str(certificates.certificate), "ssl_keyfile": str(certificates.key)}
    if certificates.client_ca is None:
        return own
    return {**own, "ssl_ca_certs": str(certificates.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}


class _Quiet(uvicorn.Server):
    """A uvicorn server that does not handle signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """The HTTP application on a port, in the event loop that starts it."""

    def __init__(self, server: CloudServer) -> None:
        tls = _tls(server.access.certificates)
        config = uvicorn.Config(application(server), log_level="warning", access_log=False, lifespan="off", **tls)
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Bind and serve; ``port`` 0 takes a free one, see ``self.port``. Raises InputError if the port is in use."""
        bare = host.strip("[]")
        try:
            listener = socket.create_server((bare, port), family=socket.AF_INET6 if ":" in bare else socket.AF_INET)
        except OSError as error:
            why = f"port {port} on {host} is taken or not allowed ({error.strerror}); choose another with --http-port"
            raise InputError(why) from error
        self.port = int(listener.getsockname()[1])
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """End at once, without waiting for open requests."""
        self._server.should_exit = self._server.force_exit = True
        if self._task is not None:
            await self._task
