"""What packages offer is pinned: a name that goes or comes is a decision, not an accident."""

from __future__ import annotations

import importlib

import pytest

from tests.architecture.tree import PACKAGES, ROOT, modules

EXPORTED = {
    "tork.definition": {
        "Cron", "CronError", "Problem", "job_schema", "parse_cron", "read_job", "read_job_file", "read_scheduled_job",
        "validate_job",
    },
    "tork.expression": {"Date", "Duration", "Limits", "Summary", "check", "evaluate", "references", "render"},
    "torkctl.client": {"Api", "Patience", "Transport", "follow_job", "follow_log"},
    "torkctl.reasons": {"Evidence", "Facts", "Reason", "Subject", "explain", "explain_schedule"},
    "torkd": {"Engine", "__version__"},
    "torkd.api.streams": {
        "DetachedBody", "Doorbell", "EverythingFeed", "Feed", "JobFeed", "LogFeed", "StreamHub", "Told", "WaitFeed",
        "resume_after",
    },
    "torkd.broker.memory": {"MemoryBroker"},
    "torkd.broker.rabbitmq": {"RabbitMQBroker", "RabbitMQOptions"},
    "torkd.middleware": {
        "Caller", "Chain", "EndedRun", "JobMiddleware", "LogMiddleware", "NodeMiddleware", "RunEnding", "RunHooks", "Shown", "StartedRun",
        "TaskMiddleware", "Told",
    },
    "torkd.sealing": {"Damaged", "KeyMissing", "KeyRing", "SealedBodies", "Sealer"},
    "torkd.settings": {
        "Loaded", "Origin", "Settings", "format_size", "load_settings", "parse_size", "render_config", "settings_table",
        "split_address",
    },
    "torkd.testing": {
        "BrokerContract", "DatastoreContract", "DeadLetterContract", "EventQueueContract", "MounterContract", "OrderContract",
        "RecordedLog", "RecordedRun", "RuntimeContract", "ScriptWords", "TaskQueueContract", "wait_until",
    },
    "torkd.worker": {"Worker", "WorkerOptions"},
}  # fmt: skip
PACKAGE_NAMES = sorted(
    ".".join(path.parent.relative_to(ROOT / "shared" if path.is_relative_to(PACKAGES["tork"]) else ROOT).parts)
    for path in modules()
    if path.name == "__init__.py"
)


@pytest.mark.parametrize("name", PACKAGE_NAMES)
def test_a_package_offers_what_is_agreed(name: str) -> None:
    package = importlib.import_module(name)
    offered = set(getattr(package, "__all__", ()))
    assert offered == EXPORTED.get(name, set())
    assert [missing for missing in offered if not hasattr(package, missing)] == []
    assert list(getattr(package, "__all__", [])) == sorted(offered), "__all__ is in the order of the alphabet"


def test_every_pinned_package_is_there() -> None:
    assert set(EXPORTED) <= set(PACKAGE_NAMES)
