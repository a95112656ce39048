"""Spans, and where they are in a trace.

Their places are made of ids that everybody knows, so that whoever runs or ends a part of a job finds the place of the parent
without asking, and what is told twice after a crash is the same span again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span is: its trace and its id, in hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool | None = None
    """What somebody else has decided; None: it is ours to say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Something that has ended. Nothing in it may be secret."""

    name: str
    place: Place
    parent: Place | None = None
    links: tuple[Place, ...] = ()
    began_at: datetime
    ended_at: datetime
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    error: str | None = None
    """Why it failed, which may be empty; None: it did not."""
    answers_request: bool = False


def place_of(root_id: str, own_id: str) -> Place:
    """Of a job or a task, in the trace of the job at the root."""
    trace_id = root_id if _TRACE_ID.fullmatch(root_id) and root_id.strip("0") else _digits(root_id, 32)
    return Place(trace_id, _digits(own_id, 16))


def traceparent(place: Place, *, sampled: bool) -> str:
    """The place as W3C Trace Context says it to those who are to join in."""
    return f"00-{place.trace_id}-{place.span_id}-{_SAMPLED if sampled else 0:02x}"


def read_traceparent(text: str) -> Place | None:
    """The place in a header; None where it has no meaning: then the trace begins here."""
    found = _TRACEPARENT.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    is_known = version != "ff" and (version != "00" or more is None)
    if not is_known or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Place(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
