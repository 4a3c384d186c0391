"""``cloud-serve --health``: the cloud of this container is asked over a socket of its own."""

import os

import pytest
from tests.cloud.conftest import small_models
from tests.support.served import Cloud

from partway.cloud.services import health_call
from partway.cloud.services.health_call import ask_health, health_address


def test_outside_an_image_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable that an image sets."""
    monkeypatch.delenv("PARTWAY_HEALTH", raising=False)
    assert health_address() is None
    well, sentence = ask_health()
    assert not well and "PARTWAY_HEALTH=1" in sentence


def test_a_cloud_tells_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving, then draining, then gone."""
    monkeypatch.setenv("PARTWAY_HEALTH", "1")
    monkeypatch.setattr(health_call, "health_name", lambda half: f"partway-test-{half}-{os.getpid()}")
    with Cloud(small_models()) as cloud:
        assert ask_health() == (True, "serving")
        cloud.server.inference.ready = False
        assert ask_health() == (False, "not serving: it is starting or shutting down")
    well, sentence = ask_health()
    assert not well and sentence.startswith("no cloud-serve answers here")
