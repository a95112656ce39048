"""The real API over a real database, asked by people with accounts. No coordinator runs: jobs stay where they are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import falcon.testing
import msgspec

from tests.support.api_fakes import FakeDoctor
from tests.support.databases import Databases, open_datastore
from tests.support.engine_running import OPTIONS, new_id
from tests.support.postgres import PostgresServer
from torkd.accounts.issuing import create_key
from torkd.accounts.passwords import hash_password
from torkd.api.app import ApiDependencies, create_app
from torkd.api.options import ApiOptions
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunEnded, RunOutcome
from torkd.broker.queues import COMPLETED
from torkd.checks import Checks
from torkd.clock import utc_now
from torkd.coordinator.coordinator import Coordinator
from torkd.datastore.account_protocol import NewUser
from torkd.datastore.postgres.datastore import PostgresDatastore

PASSWORD = "correct-horse"
OPEN = {"name": "open", "tasks": [{"name": "only", "run": "true"}]}


def restricted(*permissions: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A job that these may see."""
    return {"name": "restricted", "tasks": [{"name": "only", "run": "true"}], "permissions": list(permissions)} | fields


class World:
    """`creator`, `member` (of the role `crew`), `other` and `admin`, all with the same password."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore
        self.broker = MemoryBroker()
        self.broker.open()
        self.coordinator = Coordinator(datastore, self.broker, OPTIONS, new_id=new_id)
        self.streams = StreamHub(Doorbell(self.broker, datastore.versions_of))
        datastore.create_role(new_id(), "crew", "The crew")
        self._hash = hash_password(PASSWORD)
        self.ids = {
            name: self.add_user(name, *roles)
            for name, roles in {"creator": (), "member": ("crew",), "other": (), "admin": ("admin",)}.items()
        }
        self.app = self.serve(asks_passwords=True, asks_keys=True, key="of-the-configuration")
        self.client = falcon.testing.TestClient(self.app)

    def serve(self, **options: Any) -> Any:
        """The application with these options."""
        return create_app(
            ApiDependencies(
                version="x",
                reading=self.datastore,
                accounts=self.datastore,
                commands=self.coordinator,
                broker=self.broker,
                streams=self.streams,
                checks=Checks({}),
                doctor=FakeDoctor(),
                options=ApiOptions(**options),
            )
        )

    def add_user(self, name: str, *roles: str) -> str:
        """An account with the common password; its id."""
        user = NewUser(id=new_id(), username=name, name=name, password_hash=self._hash, roles=roles)
        return self.datastore.create_user(user).id

    def add_key(self, name: str, *roles: str) -> str:
        """A named key."""
        return create_key(self.datastore, new_id(), name, roles).key

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> falcon.testing.Result:
        """A request of a user; of nobody when the name is empty, of a key when it has a blank."""
        given = {name.replace("_", "-"): value for name, value in headers.items()} | credentials(who)
        if body is not None:
            given["Content-Type"] = "application/json"
        data = msgspec.json.encode(body) if body is not None else None
        return self.client.simulate_request(method, path, body=data, headers=given)

    def status(self, who: str, method: str, path: str, body: Any = None) -> int:
        """Only the status: the body is not read, so it may have no end."""
        data = msgspec.json.encode(body) if body is not None else b""
        headers = credentials(who) | ({"Content-Type": "application/json"} if body is not None else {})
        path, _, query = path.partition("?")
        environ = falcon.testing.create_environ(path, method=method, body=data, headers=headers, query_string=query)
        started: list[str] = []
        self.app(environ, lambda status, _headers, _trace=None: started.append(status))
        return int(started[0].partition(" ")[0])

    def submit(self, who: str, job: dict[str, Any]) -> str:
        """Post a job; its id."""
        answer = self.ask(who, "POST", "/jobs", job)
        assert answer.status_code == 200, answer.text
        return str(answer.json["id"])

    def task_of(self, job_id: str) -> str:
        """The id of the job's first task."""
        return self.datastore.get_job(job_id).execution[0].id

    def bury(self) -> str:
        """A message that could not be handled; its id."""
        reader = self.broker.consume_events([COMPLETED])
        now = utc_now()
        run = {"task_id": "t", "job_id": "j", "root_id": "j", "dispatch": 1, "run_id": "r", "node_id": "n"}
        ended = RunEnded(**run, lease_id="l", started_at=now, ended_at=now, outcome=RunOutcome.COMPLETED)  # type: ignore[arg-type] # mypy does not look at the keys
        self.broker.publish_events([ended])
        (delivery,) = reader.receive(1, 5)
        reader.bury(delivery, "it makes no sense")
        reader.close()
        return self.broker.dead_letters(1000)[-1].id

    def close(self) -> None:
        """Stop."""
        self.streams.close()
        self.broker.close()


def credentials(who: str) -> dict[str, str]:
    """The header of a user, or `Bearer KEY` as it is."""
    if not who:
        return {}
    return {"Authorization": who if " " in who else "Basic " + b64encode(f"{who}:{PASSWORD}".encode()).decode()}


@contextmanager
def a_world() -> Iterator[World]:
    """A world of its own."""
    with (
        PostgresServer.start() as server,
        Databases(server).copy() as dsn,
        open_datastore(dsn) as datastore,
    ):
        world = World(datastore)
        try:
            yield world
        finally:
            world.close()
