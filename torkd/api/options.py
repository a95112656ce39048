"""What the settings say about the API, and which of them this version can't honour yet."""

from __future__ import annotations

from dataclasses import dataclass

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
    )


def unsupported_settings(settings: Settings) -> list[str]:
    """The keys that are on and not carried out by this version: starting anyway would leave the API open."""
    web = settings.middleware.web
    switched_on = {
        "middleware.web.basicauth.enabled": web.basicauth.enabled,
        "middleware.web.keyauth.enabled": web.keyauth.enabled,
        "middleware.web.ratelimit.enabled": web.ratelimit.enabled,
    }
    return [key for key, on in switched_on.items() if on]


def unsupported_sentence(keys: list[str]) -> str:
    """What to tell the operator about them."""
    verb = "is" if len(keys) == 1 else "are"
    return f"{' and '.join(keys)} {verb} not supported by this version: switch {'it' if len(keys) == 1 else 'them'} off"
