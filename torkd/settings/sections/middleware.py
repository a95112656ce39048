"""Settings of what stands before the API, jobs and tasks: sign-in, limits, redaction, webhooks."""

from __future__ import annotations

from typing import Annotated

from torkd.settings.checks import check_host_variable, check_network
from torkd.settings.kinds import Flag, Number, Secret, Size, Text, Texts
from torkd.settings.sections.section import Section


class Cors(Section, frozen=True, kw_only=True):
    """`[middleware.web.cors]`"""

    enabled: Annotated[bool, Flag(means="let browsers of other origins use the API")] = False
    origins: Annotated[tuple[str, ...], Texts(means="origins that may; `*`: any")] = ("*",)
    methods: Annotated[tuple[str, ...], Texts(means="methods they may use; `*`: any")] = ("*",)
    headers: Annotated[tuple[str, ...], Texts(means="headers they may send; `*`: any")] = ("*",)
    credentials: Annotated[bool, Flag(means="whether they may send credentials")] = False


class BasicAuth(Section, frozen=True, kw_only=True):
    """`[middleware.web.basicauth]`"""

    enabled: Annotated[bool, Flag(means="ask for a user and password")] = False


class KeyAuth(Section, frozen=True, kw_only=True):
    """`[middleware.web.keyauth]`"""

    enabled: Annotated[bool, Flag(means="ask for a key")] = False
    key: Annotated[
        str | None,
        Text(means="the key to ask for", default_text="a random one, printed at start", secret=Secret.WHOLE),
    ] = None


class RateLimit(Section, frozen=True, kw_only=True):
    """`[middleware.web.ratelimit]`"""

    enabled: Annotated[bool, Flag(means="limit the requests of each client address")] = False
    rps: Annotated[int, Number(means="requests a second from one address", least=1, most=1_000_000)] = 20


class RequestLog(Section, frozen=True, kw_only=True):
    """`[middleware.web.logger]`"""

    enabled: Annotated[bool, Flag(means="log requests")] = True
    level: Annotated[
        str,
        Text(
            means="the level they are logged at",
            choices=("TRACE", "DEBUG", "INFO", "WARN", "ERROR"),
            wrong="invalid request log level",
        ),
    ] = "DEBUG"
    skip: Annotated[
        tuple[str, ...],
        Texts(means="requests not logged, as `METHOD /path` with `*` as a wildcard; empty: all are logged"),
    ] = ("GET /health",)


class Web(Section, frozen=True, kw_only=True):
    """`[middleware.web]`"""

    cors: Cors = Cors()
    basicauth: BasicAuth = BasicAuth()
    keyauth: KeyAuth = KeyAuth()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Texts(means="addresses or networks of proxies whose `X-Forwarded-For` counts", check=check_network),
    ] = ()
    bodylimit: Annotated[int, Size(means="largest request body")] = 500_000
    ratelimit: RateLimit = RateLimit()
    logger: RequestLog = RequestLog()


class Redact(Section, frozen=True, kw_only=True):
    """`[middleware.job.redact]`"""

    enabled: Annotated[bool, Flag(means="hide secrets in jobs, tasks and logs")] = True
    patterns: Annotated[
        tuple[str, ...],
        Texts(
            means="names whose values are secret, with `*` as a wildcard; they replace the built-in ones",
            default_text="names with SECRET, PASSWORD or ACCESS_KEY",
        ),
    ] = ()


class JobMiddleware(Section, frozen=True, kw_only=True):
    """`[middleware.job]`"""

    redact: Redact = Redact()


class TaskMiddleware(Section, frozen=True, kw_only=True):
    """`[middleware.task]`"""

    hostenv_vars: Annotated[
        tuple[str, ...],
        Texts(
            key="hostenv.vars",
            means="variables of the worker that every task gets, as `NAME` or `NAME:ALIAS`",
            check=check_host_variable,
        ),
    ] = ()


class Webhook(Section, frozen=True, kw_only=True):
    """`[middleware.webhook]`"""

    secret: Annotated[
        str | None, Text(means="signs webhook requests (HMAC)", default_text="unsigned", secret=Secret.WHOLE)
    ] = None
    allow_private: Annotated[bool, Flag(means="whether webhooks may go to private addresses")] = True


class Middleware(Section, frozen=True, kw_only=True):
    """`[middleware]`"""

    web: Web = Web()
    job: JobMiddleware = JobMiddleware()
    task: TaskMiddleware = TaskMiddleware()
    webhook: Webhook = Webhook()
