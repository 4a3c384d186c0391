"""The service for splits, beyond the Open Inference Protocol: plans, stage files by digest, and link probes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc

import partway
from partway.cloud.answer import FrameRefused
from partway.cloud.models.repository import ServedModel
from partway.cloud.services.audit import Verdict
from partway.cloud.services.inference import parsed, unary_handler
from partway.partitioner.plan.plan import plan_to_json
from partway.proto import messages as m

log = logging.getLogger("partway.cloud")

CHUNK_BYTES = 1 << 18
MAX_REPLY_BYTES = 1 << 22


class SplitService:
    """``partway.v1.Split`` for these models.

    ``queue_s`` returns how long a frame arriving now would wait; ``audit`` compares a coded frame with an exact one.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        audit: Callable[[bytes, bytes], Awaitable[Verdict]],
        queue_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._models = models
        self._compare = audit
        self._queue_s = queue_s

    def handlers(self) -> grpc.GenericRpcHandler:
        """The handlers to register with a server."""
        table = {
            "Describe": unary_handler(m.DescribeRequest, self._describe),
            "Probe": unary_handler(m.ProbeRequest, self._probe),
            "Audit": unary_handler(m.AuditRequest, self._audit),
            "Fetch": grpc.unary_stream_rpc_method_handler(self._fetch),
        }
        return grpc.method_handlers_generic_handler(m.SPLIT_SERVICE, table)

    async def _describe(self, request: Any, context: Any) -> Any:
        reply = m.DescribeResponse(models=sorted(self._models), server=f"partway {partway.__version__}")
        if not request.model:
            return reply
        model = self._models.get(request.model)
        if model is None:
            served = ", ".join(sorted(self._models))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model!r:.80} here; served: {served}")
            raise AssertionError  # abort raises
        if request.known_digest != model.digest:
            reply.plan_json = json.dumps(plan_to_json(model.plan)).encode()
        reply.plan_digest = model.digest
        reply.profile_json = json.dumps(dict(model.profile)).encode()
        return reply

    async def _probe(self, request: Any, context: Any) -> Any:
        begun = perf_counter()
        payload = bytes(min(request.reply_bytes, MAX_REPLY_BYTES))
        return m.ProbeResponse(payload=payload, server_s=perf_counter() - begun, queue_s=self._queue_s())

    async def _audit(self, request: Any, context: Any) -> Any:
        try:
            verdict = await self._compare(request.coded, request.exact)
        except FrameRefused as error:
            await context.abort(grpc.StatusCode[error.code], str(error))
            raise AssertionError from error  # abort raises
        except Exception:
            log.exception("an audit failed")
            await context.abort(grpc.StatusCode.INTERNAL, "the cloud failed on this audit; its log says why")
        return m.AuditResponse(**asdict(verdict))

    async def _fetch(self, message: bytes, context: Any) -> AsyncIterator[bytes]:
        request = await parsed(m.FetchRequest, message, context)
        path = next(filter(None, (model.stage_path(request.digest) for model in self._models.values())), None)
        if path is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no stage {request.digest!r:.80} here")
            raise AssertionError  # abort raises
        try:
            for chunk in _chunks(path, request.offset):
                yield chunk
        except OSError:
            log.exception("stage file %s cannot be read", path)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"stage {request.digest:.80} cannot be read here any more")


def _chunks(path: Path, offset: int) -> Iterator[bytes]:
    """The file from ``offset`` on as FetchChunk messages, at least one."""
    total = path.stat().st_size
    with path.open("rb") as file:
        file.seek(min(offset, total))
        first = True
        while (data := file.read(CHUNK_BYTES)) or first:
            first = False
            yield m.FetchChunk(data=data, total_bytes=total).SerializeToString()
