"""Queues, dead letters, nodes, schedules and accounts: the calls of the API that are not about jobs.

Lists come whole, put together from as many pages as it takes, with each item as the server said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tork.errors import NotFound
from tork.page import Page
from tork.schedule import ScheduledJobSummary
from torkctl.client.api import Api, read
from torkctl.errors import UsageProblem
from torkctl.ids import FULL_ID, SHORTEST_PREFIX, some_of

_LARGEST_PAGE = {"scheduled-jobs": 20, "dead": 20}
_LARGEST_OTHER_PAGE = 100


def array(api: Api, *segments: str) -> list[msgspec.Raw]:
    """What a path lists without pages."""
    return read(api.call("GET", *segments), list[msgspec.Raw])


def pages(
    api: Api, *segments: str, query: Mapping[str, Any] | None = None, limit: int | None = None
) -> Page[msgspec.Raw]:
    """What a path lists in pages, as one; the first `limit` of them, if that is given."""
    size = min(_LARGEST_PAGE.get(segments[-1], _LARGEST_OTHER_PAGE), limit or _LARGEST_OTHER_PAGE)
    found: list[msgspec.Raw] = []
    number = 0
    while True:
        number += 1
        asked = {**(query or {}), "page": number, "size": size}
        page = read(api.call("GET", *segments, query=asked), Page[msgspec.Raw])
        found += page.items
        if number >= page.total_pages or not page.items or (limit and len(found) >= limit):
            break
    shown = found[:limit]
    return Page(
        items=shown,
        number=1,
        size=len(shown),
        total_pages=-(-page.total_items // limit) if limit else min(1, len(shown)),
        total_items=page.total_items,
        total_is_lower_bound=page.total_is_lower_bound,
    )


def of_schedule(
    api: Api,
    method: str,
    schedule_id: str,
    *segments: str,
    query: dict[str, Any] | None = None,
    once: bool = False,
    is_settled: bool = False,
) -> bytes:
    """The answer to a request about one scheduled job, as `Api.call` has it."""
    try:
        return api.call(method, "scheduled-jobs", schedule_id, *segments, query=query, once=once, is_settled=is_settled)
    except NotFound:
        raise NotFound(f"there is no schedule {schedule_id}") from None


def resolve_schedule(api: Api, reference: str) -> str:
    """The id of the scheduled job of that id, unique beginning of one, or name.

    Raises `NotFound`, or `UsageProblem` when it could be several.
    """
    if FULL_ID.fullmatch(reference):
        return reference.lower()
    known = [read(item, ScheduledJobSummary) for item in pages(api, "scheduled-jobs").items]
    found = [one for one in known if reference and one.name == reference]
    if not found and len(reference) >= SHORTEST_PREFIX:
        found = [one for one in known if one.id.startswith(reference.lower())]
    if not found:
        raise NotFound(f"there is no schedule {reference} (right would be an id, the beginning of one, or a name)")
    if len(found) > 1:
        candidates = some_of([one.id for one in found])
        raise UsageProblem(f"'{reference}' fits several schedules: {candidates} (right would be an id)")
    return found[0].id
