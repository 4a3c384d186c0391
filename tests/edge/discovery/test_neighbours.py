"""Which of the clouds that announce themselves may be used now, and how each is reached."""

from dataclasses import replace

import pytest

from partway.edge.discovery.neighbours import MOST_NEIGHBOURS, Neighbours
from partway.edge.discovery.zeroconf import FoundCloud, Search
from partway.edge.transport.access.access import OPEN, Access, Tls
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.zoo import model_folder

PLAN = load_plan(model_folder("mnist"))
SERVING = {"mnist": PLAN.digest[:32]}
SECURED = Tls(b"roots")
TOKEN = "5f1d7e84c2a9b06d"


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search on a network without multicast: it finds what the test says it hears."""
    monkeypatch.setattr(Search, "_start", lambda self: None)
    return Search(0.0)


def cloud(number: int, tls: bool = False, models: dict[str, str] = SERVING) -> FoundCloud:
    """A cloud of its own address."""
    return FoundCloud(f"192.0.2.{number}:8001", models, tls=tls)


def test_neighbours_come_and_go_in_the_order_they_were_heard_of(search: Search) -> None:
    """Each call tells those of that moment."""
    neighbours = Neighbours(search, PLAN, OPEN)
    assert neighbours() == {}
    for number in (3, 1, 2):
        search.add(cloud(number), f"cloud {number}")
    assert list(neighbours()) == ["192.0.2.3:8001", "192.0.2.1:8001", "192.0.2.2:8001"]
    assert set(neighbours().values()) == {OPEN}
    search.withdraw("cloud 1")
    assert list(neighbours()) == ["192.0.2.3:8001", "192.0.2.2:8001"]


@pytest.mark.parametrize("models", [{}, {"mnist": "f" * 32}, {"mnist": ""}, {"other": PLAN.digest[:32]}])
def test_a_cloud_that_does_not_serve_this_very_plan_is_no_neighbour(search: Search, models: dict[str, str]) -> None:
    """The model's name is not enough: the plan must be the same."""
    search.add(cloud(1, models=models))
    assert Neighbours(search, PLAN, OPEN)() == {}


def test_a_cloud_is_forgotten_when_it_serves_another_plan(search: Search) -> None:
    """An update of the cloud ends its use."""
    neighbours = Neighbours(search, PLAN, OPEN)
    search.add(cloud(1), "it")
    assert len(neighbours()) == 1
    search.add(replace(cloud(1), models={"mnist": "f" * 32}), "it")
    assert neighbours() == {}


def test_no_more_than_a_few_are_looked_after(search: Search) -> None:
    """Each costs a thread, so only the first ones count; clouds that do not fit take no place."""
    for number in range(1, 20):
        search.add(cloud(number, models=SERVING if number % 2 else {}))
    found = Neighbours(search, PLAN, OPEN)()
    assert list(found) == [f"192.0.2.{2 * index + 1}:8001" for index in range(MOST_NEIGHBOURS)]


def test_a_cloud_that_may_not_be_trusted_is_left_out_and_named_once(
    search: Search, caplog: pytest.LogCaptureFixture
) -> None:
    """The token goes to clouds with TLS only; the others are named in one warning each, however often it is called."""
    neighbours = Neighbours(search, PLAN, Access(TOKEN, SECURED))
    for number, tls in ((1, False), (2, True), (3, False)):
        search.add(cloud(number, tls))
    for _ in range(3):
        assert neighbours() == {"192.0.2.2:8001": Access(TOKEN, SECURED)}
    warnings = [record.getMessage() for record in caplog.records]
    assert [warning.split()[4] for warning in warnings] == ["192.0.2.1:8001", "192.0.2.3:8001"]
    assert all("does not use TLS" in warning for warning in warnings)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(neighbours())


def test_a_cloud_with_tls_is_reached_by_tls_though_it_was_not_asked_for(search: Search) -> None:
    """What a cloud announces decides, where the device has no wish of its own."""
    search.add(cloud(1, tls=True))
    search.add(cloud(2))
    secure, clear = Neighbours(search, PLAN, OPEN)().values()
    assert secure.tls is not None
    assert clear.tls is None
