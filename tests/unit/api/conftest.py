from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import falcon.testing
import pytest

from tests.support.account_fakes import FakeAccounts
from tests.support.api_fakes import FakeCommands, FakeReading
from torkd.api.app import ApiDependencies, create_app
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.checks import Checks


class Api:
    """The application with everything it stands on."""

    def __init__(self, **options: Any) -> None:
        self.broker = MemoryBroker()
        self.broker.open()
        self.reading = FakeReading(self.broker)
        self.accounts = FakeAccounts()
        self.commands = FakeCommands(self.reading)
        self.streams = StreamHub(Doorbell(self.broker, self.reading.versions_of), most=3)
        self.indicators: dict[str, Any] = {"datastore": lambda: None}
        self.client = self.serve()

    def serve(self, **dependencies: Any) -> falcon.testing.TestClient:
        """A client; what is given replaces a dependency."""
        given: dict[str, Any] = {
            "version": "0.1",
            "reading": self.reading,
            "accounts": self.accounts,
            "commands": self.commands,
            "broker": self.broker,
            "streams": self.streams,
            "checks": Checks(self.indicators),
        }
        self.client = falcon.testing.TestClient(create_app(ApiDependencies(**given | dependencies)))
        return self.client

    def get(self, path: str, **kwargs: Any) -> falcon.testing.Result:
        return self.client.simulate_get(path, **kwargs)

    def post(self, body: str | bytes, content_type: str | None = "text/yaml", **headers: str) -> falcon.testing.Result:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.simulate_post("/jobs", body=body, content_type=content_type, headers=sent)

    def put(self, path: str, body: str | None = None) -> falcon.testing.Result:
        return self.client.simulate_put(path, body=body)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.streams.close()
    api.broker.close()
