"""What the settings say about the API."""

from __future__ import annotations

from dataclasses import dataclass, field

from torkd.api.middleware.cors import CorsOptions
from torkd.settings import Settings

GROUPS = ("health", "jobs", "tasks", "nodes", "queues", "metrics", "users")


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiOptions:
    """How the API is served."""

    groups: frozenset[str] = frozenset(GROUPS)
    """The groups of endpoints that are on; the others answer 404."""
    body_limit: int = 500_000
    request_log_level: str | None = "DEBUG"
    """None: requests are not logged."""
    request_log_skip: tuple[str, ...] = ("GET /health",)
    cors: CorsOptions | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose word for a client's address counts."""
    requests_per_second: int | None = None
    """From one address; None: as many as they like."""
    asks_passwords: bool = False
    asks_keys: bool = False
    key: str = field(default="", repr=False)
    """The key of the configuration, which may do everything."""

    @property
    def asks_who(self) -> bool:
        """Whether anybody is asked who they are."""
        return self.asks_passwords or self.asks_keys


def api_options(settings: Settings) -> ApiOptions:
    """The options these settings ask for."""
    web = settings.middleware.web
    endpoints = settings.coordinator.api.endpoints
    return ApiOptions(
        groups=frozenset(group for group in GROUPS if getattr(endpoints, group)),
        body_limit=web.bodylimit,
        request_log_level=web.logger.level if web.logger.enabled else None,
        request_log_skip=web.logger.skip,
        cors=CorsOptions(
            origins=web.cors.origins,
            methods=web.cors.methods,
            headers=web.cors.headers,
            credentials=web.cors.credentials,
        )
        if web.cors.enabled
        else None,
        trusted_proxies=web.trusted_proxies,
        requests_per_second=web.ratelimit.rps if web.ratelimit.enabled else None,
        asks_passwords=web.basicauth.enabled,
        asks_keys=web.keyauth.enabled,
        key=web.keyauth.key or "",
    )
