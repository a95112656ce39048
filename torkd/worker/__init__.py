"""Task messages in, claims, logs and reports out: executes tasks by means of a runtime."""

from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker

__all__ = ["Worker", "WorkerOptions"]
