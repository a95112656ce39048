"""What a coordinator can be told. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from torkd.datastore.account_protocol import AUDIT_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinatorOptions:
    """The settings of one coordinator process."""

    node_id: str
    name: str = "Coordinator"
    hostname: str = ""
    port: int = 0
    version: str = ""
    loops: int = 1
    """Batch loops that run side by side."""
    batch_size: int = 300
    zone: str = "UTC"
    """The time zone of schedules that name none."""
    heartbeat: float = 5.0
    lease: float = 15.0
    retention_jobs: float = 8760 * 3600.0
    retention_logs: float = 168 * 3600.0
    retention_audit: float = AUDIT_SECONDS
    webhook_drain: float = 0.0
    """How long what waits for webhooks is delivered at the end: for a database that nobody will look into afterwards."""
    broker_is_ours: bool = False
    """Whether broker and worker live and die with this process: then every run of before is lost at the start."""
