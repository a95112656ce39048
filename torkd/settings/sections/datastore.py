"""Settings of the database, of what is kept in it, and of the locks taken through it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from torkd.settings.kinds import Duration, Number, Secret, Text, Texts
from torkd.settings.sections.section import Section

_MINUTE = timedelta(minutes=1)


def _refuse_empty(key: str) -> None:
    if not key.strip():
        raise ValueError("empty, so nothing would be sealed (right would be a long random text, or to leave it out)")


class Postgres(Section, frozen=True, kw_only=True):
    """`[datastore.postgres]` and `[locker.postgres]`"""

    dsn: Annotated[
        str, Text(means="the database, as libpq reads it; once set, no embedded database is used", secret=Secret.DSN)
    ] = "host=localhost user=tork password=tork dbname=tork port=5432 sslmode=disable"
    max_open_conns: Annotated[int, Number(means="most connections at once", least=1, most=10_000)] = 25
    max_idle_conns: Annotated[int, Number(means="most idle connections kept open", most=10_000)] = 25
    conn_max_lifetime: Annotated[timedelta, Duration(means="age at which a connection is replaced; 0s: never")] = (
        timedelta(hours=1)
    )
    conn_max_idle_time: Annotated[timedelta, Duration(means="idle time after which one is closed; 0s: never")] = (
        timedelta(minutes=5)
    )


class Retention(Section, frozen=True, kw_only=True):
    """`[datastore.retention]`"""

    logs: Annotated[timedelta, Duration(key="logs.duration", means="how long task logs are kept", least=_MINUTE)] = (
        timedelta(hours=168)
    )
    jobs: Annotated[timedelta, Duration(key="jobs.duration", means="how long ended jobs are kept", least=_MINUTE)] = (
        timedelta(hours=8760)
    )
    audit: Annotated[
        timedelta, Duration(key="audit.duration", means="how long it is kept who did what", least=_MINUTE)
    ] = timedelta(hours=2160)


class Datastore(Section, frozen=True, kw_only=True):
    """`[datastore]`"""

    type: Annotated[str, Text(means="postgres, or a registered name")] = "postgres"
    postgres: Postgres = Postgres()
    retention: Retention = Retention()
    encryption_key: Annotated[
        str | None,
        Text(
            key="encryption.key",
            means="seals what may hold secrets, in the database and in messages; the same in every process",
            check=_refuse_empty,
            secret=Secret.WHOLE,
        ),
    ] = None
    encryption_older_keys: Annotated[
        tuple[str, ...],
        Texts(
            key="encryption.older_keys",
            means="keys that open what they have sealed, and seal nothing any more",
            check=_refuse_empty,
            secret=Secret.WHOLE,
        ),
    ] = ()


class Locker(Section, frozen=True, kw_only=True):
    """`[locker]`"""

    type: Annotated[str, Text(means="inmemory, postgres, or a registered name")] = "postgres"
    postgres: Postgres = Postgres()
