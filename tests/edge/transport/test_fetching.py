"""Stages from whichever cloud still has them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import pytest

from partway.edge.transport.fetching import Fetching
from partway.errors import InputError, LinkLost

FILES = {"digest": b"the whole stage file"}


class Cloud:
    """Sends at most ``sends`` bytes in all, then is lost; obeys what Fetching needs of a CloudClient."""

    def __init__(self, address: str, sends: int = 1000, error: Exception | None = None) -> None:
        self.address, self.error = address, error
        self.sends, self.asked = sends, 0

    def fetch(self, digest: str) -> bytes:
        file = BytesIO()
        self.fetch_into(digest, file, 1000)
        return file.getvalue()

    def fetch_into(self, digest: str, file: BinaryIO, most_bytes: int) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        remaining = FILES[digest][file.seek(0, 2) : most_bytes]
        file.write(remaining[: self.sends])
        self.sends -= len(remaining)
        if self.sends < 0:
            raise LinkLost(f"the cloud at {self.address} is lost")


def fetching(*clouds: Any) -> Fetching:
    """The first cloud is used until it is lost, then the others in order."""
    first, *others = clouds
    return Fetching(first, iter(others))


def test_one_cloud_that_answers_is_the_only_one_asked() -> None:
    """The others are not even reached: they are made one by one, when needed."""

    def unreached() -> Iterator[Any]:
        raise AssertionError("another cloud was reached")
        yield

    first: Any = Cloud("a:1")
    assert Fetching(first, unreached()).fetch("digest") == FILES["digest"]


def test_the_next_cloud_goes_on_where_one_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    """What was sent already is not sent again; one line says who goes on."""
    first, second, file = Cloud("a:1", sends=5), Cloud("b:1", sends=15), BytesIO()
    with caplog.at_level(logging.WARNING, "partway.edge"):
        fetching(first, second).fetch_into("digest", file, 1000)
    assert file.getvalue() == FILES["digest"]
    assert second.sends == 0
    assert caplog.messages == ["the cloud at a:1 is lost; fetching the model from the one at b:1"]


def test_a_cloud_that_was_lost_is_not_asked_again() -> None:
    """Nor for the stages that follow."""
    first, second = Cloud("a:1", sends=0), Cloud("b:1")
    fetched = fetching(first, second)
    assert [fetched.fetch("digest") for _ in range(3)] == [FILES["digest"]] * 3
    assert (first.asked, second.asked) == (1, 3)


def test_without_another_cloud_the_loss_is_told() -> None:
    """Also after several were tried: the last loss is the one that is named."""
    clouds = [Cloud(f"{name}:1", sends=0) for name in "abc"]
    with pytest.raises(LinkLost, match=r"^the cloud at c:1 is lost; the model was not fetched yet, and no other cloud"):
        fetching(*clouds).fetch("digest")
    assert [cloud.asked for cloud in clouds] == [1, 1, 1]


def test_a_file_that_is_wrong_is_no_loss() -> None:
    """A cloud whose file does not fit the plan is told, not passed over in silence."""
    second = Cloud("b:1")
    with pytest.raises(InputError, match="sends more than the plan announces"):
        fetching(Cloud("a:1", error=InputError("it sends more than the plan announces")), second).fetch("digest")
    assert second.asked == 0
