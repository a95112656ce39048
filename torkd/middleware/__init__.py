"""What an operator's code sees of jobs, tasks, nodes and logs on their way, and what of them it may change or refuse."""

from __future__ import annotations

from torkd.middleware.chain import Chain
from torkd.middleware.job import Caller, JobMiddleware
from torkd.middleware.log import LogMiddleware
from torkd.middleware.node import NodeMiddleware
from torkd.middleware.registered import RunHooks, Shown, Told
from torkd.middleware.task import EndedRun, RunEnding, StartedRun, TaskMiddleware

__all__ = [
    "Caller",
    "Chain",
    "EndedRun",
    "JobMiddleware",
    "LogMiddleware",
    "NodeMiddleware",
    "RunEnding",
    "RunHooks",
    "Shown",
    "StartedRun",
    "TaskMiddleware",
    "Told",
]
