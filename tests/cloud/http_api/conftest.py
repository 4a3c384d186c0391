"""A cloud whose pages are asked."""

from collections.abc import Iterator

import pytest
from tests.cloud.conftest import small_models
from tests.support.pages import Pages
from tests.support.served import Cloud

from partway.cloud.models.repository import ServedModel


@pytest.fixture
def pages(mnist: ServedModel) -> Iterator[Pages]:
    """The shipped model and the small ones, over gRPC and HTTP."""
    with Cloud({**small_models(), "mnist": mnist}) as cloud:
        made = Pages(cloud)
        yield made
        made.client.close()
        cloud.run(made.http.stop())
