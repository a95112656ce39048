"""Lets browsers of other origins use the API. Preflight requests are answered here, before anything else looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import translate
from re import compile as compile_pattern

import falcon


@dataclass(frozen=True, kw_only=True, slots=True)
class CorsOptions:
    """Who may do what. `*` stands for any; origins may hold `*` and `?`."""

    origins: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    credentials: bool = False


class Cors:
    """Browsers take no `*` beside credentials, so what was asked for is named then; and to them it never means `Authorization`."""

    def __init__(self, options: CorsOptions) -> None:
        self._options = options
        self._origins = compile_pattern("|".join(map(translate, options.origins)))

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.append_header("Vary", "Origin")
        origin = req.get_header("Origin")
        preflight = req.method == "OPTIONS" and req.get_header("Access-Control-Request-Method") is not None
        if origin is not None and self._origins.match(origin):
            self._allow(req, resp, origin, preflight=preflight)
        if preflight:
            resp.status = 204
            resp.complete = True

    def _allow(self, req: falcon.Request, resp: falcon.Response, origin: str, *, preflight: bool) -> None:
        options = self._options
        any_origin = options.origins == ("*",) and not options.credentials
        resp.set_header("Access-Control-Allow-Origin", "*" if any_origin else origin)
        if options.credentials:
            resp.set_header("Access-Control-Allow-Credentials", "true")
        if not preflight:
            resp.set_header("Access-Control-Expose-Headers", ", ".join(options.headers))
            return
        for name, allowed, asked in (
            ("Access-Control-Allow-Methods", options.methods, req.get_header("Access-Control-Request-Method")),
            ("Access-Control-Allow-Headers", options.headers, req.get_header("Access-Control-Request-Headers")),
        ):
            resp.set_header(name, (asked or "*") if "*" in allowed and options.credentials else ", ".join(allowed))
        wanted = req.get_header("Access-Control-Request-Headers") or ""
        if "*" in options.headers and not options.credentials and "authorization" in wanted.lower():
            resp.append_header("Access-Control-Allow-Headers", "Authorization")
