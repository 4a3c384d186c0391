"""The standard health service."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cloud.conftest import small_models
from tests.support.served import PATIENCE_S, Client, Cloud

from partway.cloud.services.health import SERVICE, health_handlers

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@pytest.mark.parametrize("asked", [b"", b"\x0a\x05mnist"])
def test_check_says_serving(client: Client, asked: bytes) -> None:
    """For the server as a whole and for any service by name."""
    assert client.call("Check", asked, SERVICE) == SERVING


def test_watch_tells_when_serving_ends() -> None:
    """A watcher hears the state at once and again when it changes, before the server is gone."""
    with Cloud(small_models()) as cloud, Client(cloud.port) as client:
        watch = client.channel.unary_stream(f"/{SERVICE}/Watch")(b"", timeout=PATIENCE_S)
        assert next(watch) == SERVING
        cloud.server.inference.ready = False
        assert next(watch) == NOT_SERVING
        assert client.call("Check", b"", SERVICE) == NOT_SERVING
        cloud.server.inference.ready = True
        assert next(watch) == SERVING
        watch.cancel()


def test_watch_says_nothing_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it looks, a state is told once."""
    looks = 0

    async def look(_: float) -> None:
        nonlocal looks
        looks += 1

    monkeypatch.setattr(asyncio, "sleep", look)
    watch: Any = health_handlers(lambda: looks < 5).service(SimpleNamespace(method=f"/{SERVICE}/Watch")).unary_stream

    async def scenario() -> None:
        told = watch(b"", None)
        assert [await anext(told), looks, await anext(told), looks] == [SERVING, 0, NOT_SERVING, 5]
        await told.aclose()

    asyncio.run(scenario())
