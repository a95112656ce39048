"""Connections, and the border where psycopg's errors become ours.

Two pools. The engine's connections plan every statement as index look-ups: its tables go from empty to huge within
seconds, and a plan that was right for the empty one would read all of the huge one until the next ANALYZE. For the same
reason a plan is not kept for long, nor made anew so often that planning is what the database does. People's questions
are planned as usual, and can't use up the engine's connections.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from tork.errors import BadData, DatastoreUnavailable

Connection = psycopg.Connection[tuple[Any, ...]]

log = logging.getLogger(__name__)

_COMMON = "-c timezone=UTC -c jit=off -c idle_in_transaction_session_timeout=60s"
_ENGINE = " ".join(
    [
        _COMMON,
        "-c lock_timeout=10s",
        *(f"-c enable_{plan}=off" for plan in ("seqscan", "hashjoin", "mergejoin")),
        "-c plan_cache_mode=force_generic_plan",
    ]
)
_RECONNECT_SECONDS = 5.0
"""How long the pool tries again by itself, less and less often. After that the next who asks makes it try at once."""
_TCP = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
"""A server behind a cut network is away within seconds: whoever waits for it holds locks and messages that others could have."""
_READING = f"{_COMMON} -c statement_timeout=30s -c plan_cache_mode=force_custom_plan"
"""Which way is right depends on what is searched for: one tag has ten jobs, another a million."""


PLAN_SECONDS = 0.5
"""How long plans are used however much is done with them: jobs by the thousand can come in that time."""
PLAN_USES = 32
"""In how many transactions plans are used however fast they age: planning takes longer than what most of them do."""
PLAN_SECONDS_AT_MOST = 30.0
"""How long plans are used at most: others may fill the tables."""
_REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""What is wrong with a value: SQLSTATE classes 22 and 23, and values larger than the database can take (54000)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolOptions:
    """Where the database is and how many connections it may cost. Times are in seconds."""

    dsn: str
    max_connections: int = 25
    max_idle: int = 25
    max_lifetime: float = 3600.0
    max_idle_time: float = 300.0
    wait: float = 10.0
    """How long to wait for a connection before the database counts as unavailable."""


@dataclass(kw_only=True, slots=True)
class _Plans:
    """What is known of a connection's plans."""

    made_at: float = field(default_factory=time.monotonic)
    uses: int = 0

    def are_stale(self, now: float) -> bool:
        """Whether the tables may have outgrown them."""
        age = now - self.made_at
        return age >= (PLAN_SECONDS if self.uses >= PLAN_USES else PLAN_SECONDS_AT_MOST)


class Pool:
    """Connections of one kind. Opened after any fork."""

    def __init__(self, options: PoolOptions, *, settings: str, min_size: int, max_size: int) -> None:
        self._wait = options.wait
        self._make: Callable[[], ConnectionPool[Connection]] = lambda: ConnectionPool(
            options.dsn,
            kwargs={**_tcp_of(options.dsn), "options": settings, "application_name": "torkd", "prepare_threshold": 2},
            min_size=min_size,
            max_size=max(max_size, min_size),
            max_lifetime=options.max_lifetime,
            max_idle=options.max_idle_time,
            timeout=options.wait,
            reconnect_timeout=min(options.wait, _RECONNECT_SECONDS),
            open=False,
        )
        self._pool = self._make()
        self._checking = threading.Lock()
        self._keeps_plans = "force_generic_plan" in settings
        self._away_since = 0.0
        """When the first connection failed of an outage that goes on; 0: there is none."""
        self._plans: WeakKeyDictionary[Connection, _Plans] = WeakKeyDictionary()

    def open(self) -> None:
        """Connect. Raises `DatastoreUnavailable`, and may be called again then."""
        try:
            self._pool.open(wait=True, timeout=self._wait)
        except (PoolTimeout, psycopg.Error) as error:
            self._pool.close()
            self._pool = self._make()
            raise DatastoreUnavailable(f"the database can't be reached: {_sentence(error)}") from error

    def close(self) -> None:
        """Disconnect."""
        self._pool.close(timeout=5)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a transaction that commits at the end of the block, or rolls back."""
        used: Connection | None = None
        try:
            with self._pool.connection() as connection:
                used = connection
                if self._away_since:
                    self._tell_of_return()
                self._refresh_plans(connection)
                yield connection
        except _REFUSALS as error:
            raise BadData(f"the database refused a value: {_sentence(error)}") from error
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            if (used is None or used.closed) and not isinstance(error, PoolClosed):
                self._away_since = self._away_since or time.monotonic()
            if used is not None and used.closed:
                self._look_at_others()
            raise DatastoreUnavailable(f"the database does not answer: {_sentence(error)}") from error

    def _tell_of_return(self) -> None:
        since, self._away_since = self._away_since, 0.0
        if since and self._keeps_plans:  # one of the two pools is enough
            log.info("the database answers again after %.1f s", time.monotonic() - since)

    def _refresh_plans(self, connection: Connection) -> None:
        """Let statements be planned anew once in a while, for tables as large as they are now.

        A plan that was made when a table had a few rows reads all of it, also when it has a million.
        """
        if not self._keeps_plans:
            return
        plans = self._plans.setdefault(connection, _Plans())
        if plans.are_stale(time.monotonic()):
            self._plans[connection] = _Plans()
            connection.execute("DISCARD PLANS")
        else:
            plans.uses += 1

    def _look_at_others(self) -> None:
        """Other connections are likely dead too; look at once instead of failing on each of them in turn."""
        if not self._checking.acquire(blocking=False):
            return
        try:
            self._pool.check()
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            log.debug("the other connections could not be checked: %s", error)
        finally:
            self._checking.release()


def engine_pool(options: PoolOptions) -> Pool:
    """The pool of batches and upkeep."""
    return Pool(options, settings=_ENGINE, min_size=2, max_size=max(options.max_connections // 3, 4))


def reading_pool(options: PoolOptions) -> Pool:
    """The pool of the API's questions."""
    size = max(options.max_connections - max(options.max_connections // 3, 4), 2)
    return Pool(options, settings=_READING, min_size=min(2, options.max_idle), max_size=size)


def _tcp_of(dsn: str) -> dict[str, Any]:
    """What the DSN leaves open of how a dead network is noticed."""
    try:
        chosen = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return {}  # connecting tells what is wrong with it
    return {name: value for name, value in _TCP.items() if name not in chosen}


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
