"""Jobs of people who know nothing of each other, stored in one transaction."""

from __future__ import annotations

from tests.support.builders import START
from tests.support.engine_running import new_id
from tork.job import JobDefinition
from tork.task import TaskDefinition
from torkd.coordinator.handle import fold
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.protocol import JobQuery
from torkd.engine.events import JobSubmitted

TASKS = [TaskDefinition(name="one", run="true")]
SECRET = JobDefinition(name="has a secret", tags=["deploy"], tasks=TASKS, secrets={"token": "deploy"})
OTHER = JobDefinition(name="deploy the shop", description="deploy it", tags=["deploy", "nightly"], tasks=TASKS)


def test_the_secrets_of_one_change_nothing_of_another(datastore: PostgresDatastore) -> None:
    events = [
        JobSubmitted(job_id=name, definition=definition, created_by="0" * 32)
        for name, definition in (("secret", SECRET), ("other", OTHER))
    ]
    with datastore.begin() as batch:
        fold(batch, batch.load(events), events, now=START, new_id=new_id)
    assert datastore.get_summary("other").tags == ["deploy", "nightly"]
    assert [job.id for job in datastore.list_jobs(JobQuery(text="deploy"), page=1, size=10).items] == ["other"]
