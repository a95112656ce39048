"""The reading half of the Postgres datastore, put together from its nouns."""

from __future__ import annotations

from torkd.datastore.postgres.accounts import PostgresAccounts
from torkd.datastore.postgres.examining import Examination
from torkd.datastore.postgres.job_reading import JobReading
from torkd.datastore.postgres.log_reading import LogReading
from torkd.datastore.postgres.node_reading import NodeReading
from torkd.datastore.postgres.schedule_reading import ScheduleReading
from torkd.datastore.postgres.task_reading import TaskReading
from torkd.datastore.postgres.webhook_reading import PostgresWebhookReading


class PostgresReading(
    JobReading,
    TaskReading,
    LogReading,
    NodeReading,
    ScheduleReading,
    PostgresWebhookReading,
    Examination,
    PostgresAccounts,
):
    """Implements `torkd.datastore.protocol.Reading`, `Examining` and `Accounts` on lent connections."""
