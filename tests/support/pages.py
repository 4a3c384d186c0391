"""The HTTP pages of a cloud in this process."""

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.support.served import Cloud

from partway.cloud.http_api.app import HttpServer


class Pages:
    """A cloud with its pages."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.http: HttpServer = cloud.run(self._start())
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.http.port}", timeout=30)

    async def _start(self) -> HttpServer:
        made = HttpServer(self.cloud.server)
        await made.start("127.0.0.1", 0)
        return made

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Every sample by name and labels' values."""
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        order = ("model", "cut", "codec", "status")
        return {
            (sample.name, tuple(sample.labels[name] for name in order if name in sample.labels)): sample.value
            for each in families
            for sample in each.samples
        }
