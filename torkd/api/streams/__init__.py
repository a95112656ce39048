"""Answers that outlive their request's thread: in come doorbells of the broker, out go server-sent events and awaited jobs."""

from __future__ import annotations

from torkd.api.streams.body import DetachedBody
from torkd.api.streams.doorbell import Doorbell
from torkd.api.streams.feed import Feed, Told
from torkd.api.streams.hub import StreamHub
from torkd.api.streams.job_feed import EverythingFeed, JobFeed
from torkd.api.streams.log_feed import LogFeed
from torkd.api.streams.sse import resume_after
from torkd.api.streams.wait_feed import WaitFeed

__all__ = [
    "DetachedBody",
    "Doorbell",
    "EverythingFeed",
    "Feed",
    "JobFeed",
    "LogFeed",
    "StreamHub",
    "Told",
    "WaitFeed",
    "resume_after",
]
