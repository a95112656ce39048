"""What the Tab key offers where a name is wanted: the server's own, within a second; nothing, when it does not answer by then.

Invariant: whatever goes wrong, nothing is written: somebody is in the midst of typing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torkctl.client import Api

Offer = tuple[str, str]
"""What may be typed, and a few words about it."""

_DEADLINE_SECONDS = 1.0
_ANSWER_SECONDS = 0.8
_PLAIN = re.compile(r"[\w.@-]+")
_LAST = "@last"


def jobs(ctx: Any, incomplete: str) -> list[Offer]:
    """The latest jobs, or those whose ids begin so."""
    last = [(_LAST, "the last job submitted from this machine")] if _LAST.startswith(incomplete) else []
    return last + ([] if incomplete.startswith("@") else _asked(ctx, lambda api: _jobs(api, incomplete), incomplete))


def jobs_and_schedules(ctx: Any, incomplete: str) -> list[Offer]:
    """What `torkctl get` takes."""
    return jobs(ctx, incomplete) + schedules(ctx, incomplete)


def queues(ctx: Any, incomplete: str) -> list[Offer]:
    """The queues."""
    return _asked(ctx, lambda api: _each(_array(api, "queues"), "name", "size"), incomplete)


def dead_letters(ctx: Any, incomplete: str) -> list[Offer]:
    """The first of the dead letters."""
    return _asked(ctx, lambda api: _each(_page(api, "queues", "dead"), "id", "reason"), incomplete)


def schedules(ctx: Any, incomplete: str) -> list[Offer]:
    """The latest schedules, by name and by id."""

    def find(api: Api) -> list[Offer]:
        found = _page(api, "scheduled-jobs")
        return [*_each(found, "name", "cron"), *_each(found, "id", "name")]

    return _asked(ctx, find, incomplete)


def users(ctx: Any, incomplete: str) -> list[Offer]:
    """The users."""
    return _asked(ctx, lambda api: _each(_page(api, "users"), "username", "name"), incomplete)


def roles(ctx: Any, incomplete: str) -> list[Offer]:
    """The roles."""
    return _asked(ctx, lambda api: _each(_page(api, "roles"), "slug", "name"), incomplete)


def keys(ctx: Any, incomplete: str) -> list[Offer]:
    """The named keys."""
    return _asked(ctx, lambda api: _each(_page(api, "keys"), "name", "id"), incomplete)


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


def _asked(ctx: Any, find: Callable[[Api], Iterable[Offer]], incomplete: str) -> list[Offer]:
    """What a look at the server finds within the deadline. A name that takes so long to resolve is left behind too."""
    found: list[Offer] = []

    def ask() -> None:
        try:
            found.extend(_fitting(_find(ctx, find), incomplete))
        except Exception:  # noqa: BLE001 - a traceback would be written into somebody's half-typed line
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_DEADLINE_SECONDS)
    return [] if asking.is_alive() else found


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


def _array(api: Api, *segments: str) -> list[dict[str, Any]]:
    from torkctl.client.api import read

    return read(api.call("GET", *segments), list[dict[str, Any]])


def _page(api: Api, *segments: str) -> list[dict[str, Any]]:
    from torkctl.client.api import read

    answer = read(api.call("GET", *segments, query={"size": 20}), dict[str, Any])
    return list(answer["items"])


def _each(documents: Iterable[dict[str, Any]], name: str, about: str) -> list[Offer]:
    return [(str(one.get(name, "")), str(one.get(about, ""))) for one in documents]


def _fitting(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    """Those that begin so, and that no shell reads as anything but a word."""
    return [(word, about) for word, about in offers if word.startswith(incomplete) and _PLAIN.fullmatch(word)]
