"""The thread that looks after one cloud goes on, whatever a look runs into."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.served import Cloud

from partway.cloud.models.repository import load_model
from partway.edge.transport.access import Access, Tls
from partway.edge.transport.cloud_monitor import Lookout
from partway.partitioner.zoo import model_folder

PATIENCE_S = 30.0


def _until(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, "it never came to that"
        time.sleep(0.01)


class KeyAway(Access):
    """In the clear; but as long as ``away`` exists, no channel can be made."""

    away: Path

    def channel(self, address: str, options: list[tuple[str, Any]], kind: Any) -> Any:
        if self.away.exists():
            raise FileNotFoundError("the key is away")
        return super().channel(address, options, kind)


def test_a_key_that_is_away_for_a_while_does_not_end_the_looking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Looks fail meanwhile, which is said once; once the key is back the cloud is seen."""
    mnist, access = load_model(model_folder("mnist"), 1), KeyAway()
    KeyAway.away = tmp_path / "away"
    KeyAway.away.touch()
    with Cloud({"mnist": mnist}) as cloud, caplog.at_level(logging.WARNING):
        lookout = Lookout(f"127.0.0.1:{cloud.port}", "mnist", mnist.digest, lambda: False, access)
        try:
            _until(lambda: caplog.records)
            lookout.lost()
            lookout.lost()
            time.sleep(0.1)
            KeyAway.away.unlink()
            lookout.lost()
            _until(lambda: lookout.sighting)
        finally:
            lookout.close()
    assert ["the key is away" in record.message for record in caplog.records] == [True]


def test_a_real_key_file_may_come_and_go(tmp_path: Path) -> None:
    """A device's own certificate is read anew for every look; the thread outlives files that are not there."""
    missing = Tls(None, tmp_path / "c.pem", tmp_path / "k.pem")
    lookout = Lookout("127.0.0.1:9", "mnist", "d", lambda: False, Access(tls=missing))
    try:
        _until(lambda: lookout._said)
        assert lookout._thread.is_alive()
    finally:
        lookout.close()


def test_a_probe_that_fails_does_not_end_the_looking(caplog: pytest.LogCaptureFixture) -> None:
    """A cloud in use is probed again after something nobody foresaw."""
    asked: list[int] = []

    def idle() -> bool:
        asked.append(1)
        raise RuntimeError("odd")

    with caplog.at_level(logging.WARNING):
        lookout = Lookout("127.0.0.1:9", "mnist", "d", idle, used=True)
        try:
            for count in (1, 2):
                _until(lambda count=count: len(asked) >= count)  # type: ignore[misc]
                lookout._wake.set()
        finally:
            lookout.close()
    assert sum("odd" in record.message for record in caplog.records) == 1
