"""A gRPC server of our own with some methods of our services, as raw bytes: for clouds that do something odd."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from partway.proto import messages as m


@contextmanager
def raw_services(**methods: Callable[[Any, Any], Any]) -> Iterator[str]:
    """Serve these methods (request bytes and context to reply bytes); gives the address."""
    kinds = {"Fetch": grpc.unary_stream_rpc_method_handler, "ModelStreamInfer": grpc.stream_stream_rpc_method_handler}
    handlers = {name: kinds.get(name, grpc.unary_unary_rpc_method_handler)(made) for name, made in methods.items()}
    services = (m.SPLIT_SERVICE, m.INFERENCE_SERVICE)
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers) for name in services])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
