"""What the Tab key offers where a name is wanted: the server's own, within a second; nothing, when it does not answer by then.

Invariant: whatever goes wrong, nothing is written: somebody is in the midst of typing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torkctl.client import Api

Offer = tuple[str, str]
"""What may be typed, and a few words about it."""

_DEADLINE_SECONDS = 1.0
_ANSWER_SECONDS = 0.8
_PLAIN = re.compile(r"[\w.@-]+")
_LAST = ("@last", "the last job submitted from this machine")


def jobs(ctx: Any, incomplete: str) -> list[Offer]:
    """The latest jobs, or those whose ids begin so."""
    return _jobs_and(ctx, incomplete)


def jobs_and_schedules(ctx: Any, incomplete: str) -> list[Offer]:
    """What `torkctl get` takes."""
    return _jobs_and(ctx, incomplete, _schedules)


def queues(ctx: Any, incomplete: str) -> list[Offer]:
    """The queues."""
    return _asked(ctx, incomplete, lambda api: [(queue.name, str(queue.size)) for queue in api.queues()])


def dead_letters(ctx: Any, incomplete: str) -> list[Offer]:
    """The first of the dead letters."""
    return _asked(ctx, incomplete, lambda api: _each(_page(api, "queues", "dead"), "id", "reason"))


def schedules(ctx: Any, incomplete: str) -> list[Offer]:
    """The latest schedules, by name and by id."""
    return _asked(ctx, incomplete, _schedules)


def users(ctx: Any, incomplete: str) -> list[Offer]:
    """The users."""
    return _asked(ctx, incomplete, lambda api: _each(_page(api, "users"), "username", "name"))


def roles(ctx: Any, incomplete: str) -> list[Offer]:
    """The roles."""
    return _asked(ctx, incomplete, lambda api: _each(_page(api, "roles"), "slug", "name"))


def keys(ctx: Any, incomplete: str) -> list[Offer]:
    """The named keys."""
    return _asked(ctx, incomplete, lambda api: _each(_page(api, "keys"), "name", "id"))


def contexts(incomplete: str) -> list[Offer]:
    """The named servers, which no server has to be asked for."""
    import os

    from tork.errors import TorkError
    from torkctl.contexts import read_contexts

    try:
        known, _ = read_contexts(os.environ)
    except TorkError:
        return []
    return _fitting([(context.name, context.endpoint) for context in known], incomplete)


def formats(incomplete: str) -> list[Offer]:
    """The output formats."""
    from torkctl.settings import OutputFormat

    return _fitting([(output.value, "") for output in OutputFormat], incomplete)


def states(incomplete: str) -> list[Offer]:
    """The states of jobs."""
    from tork.job import JobState

    return _fitting([(state.value, "") for state in JobState], incomplete.upper())


def _jobs_and(ctx: Any, incomplete: str, *more: Callable[[Api], Iterable[Offer]]) -> list[Offer]:
    if incomplete.startswith("@"):
        return _fitting([_LAST], incomplete)
    found = _asked(ctx, incomplete, lambda api: _jobs(api, incomplete), *more)
    return [*_fitting([_LAST], incomplete), *found]


def _asked(ctx: Any, incomplete: str, *finds: Callable[[Api], Iterable[Offer]]) -> list[Offer]:
    """What looks at the server find within the deadline. A name that takes so long to resolve is left behind too."""
    found: list[Offer] = []

    def ask() -> None:
        for find in finds:
            with suppress(Exception):  # a traceback would be written into somebody's half-typed line
                found.extend(_fitting(_find(ctx, find), incomplete))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_DEADLINE_SECONDS)
    return list(found)


def _find(ctx: Any, find: Callable[[Api], Iterable[Offer]]) -> Iterable[Offer]:
    from torkctl.client import Api, Patience, Transport
    from torkctl.session import Session

    settings = Session.of(ctx).settings
    transport = Transport(settings.endpoint, settings.credentials, answer_seconds=_ANSWER_SECONDS)
    return list(find(Api(transport, lambda: Patience(window_seconds=0))))


def _jobs(api: Api, incomplete: str) -> list[Offer]:
    from torkctl.client.api import JobQuery

    page = api.jobs(JobQuery(id_prefix=incomplete.lower()))
    return [(job.id, f"{job.name} {job.state.value}".strip()) for job in page.items]


def _schedules(api: Api) -> list[Offer]:
    found = _page(api, "scheduled-jobs")
    return [*_each(found, "name", "cron"), *_each(found, "id", "name")]


def _page(api: Api, *segments: str) -> list[dict[str, Any]]:
    from torkctl.client.api import read

    answer = read(api.call("GET", *segments, query={"size": 20}), dict[str, Any])
    return list(answer["items"])


def _each(documents: Iterable[dict[str, Any]], name: str, about: str) -> list[Offer]:
    return [(str(one.get(name, "")), str(one.get(about, ""))) for one in documents]


def _fitting(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    """Those that begin so, and that no shell reads as anything but a word."""
    return [(word, about) for word, about in offers if word.startswith(incomplete) and _PLAIN.fullmatch(word)]
