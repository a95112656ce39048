"""The WSGI application, with what falcon leaves out: it knows its routes, answers HEAD like GET, and any unknown method with 405."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon
from falcon.inspect import inspect_compiled_router, register_router
from falcon.routing import CompiledRouter

from torkd.api.operations import Operation, operation_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A path with its operations by method; None for one that nobody has described."""

    path: str
    operations: dict[str, Operation | None]


class App(falcon.App[falcon.Request, falcon.Response]):
    """Routes are added as with falcon."""

    def __init__(self, middleware: list[Any]) -> None:
        super().__init__(middleware=middleware, router=_Router())
        self.routes: list[Route] = []

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        super().add_route(uri_template, resource, **kwargs)
        responders = CompiledRouter().map_http_methods(resource, **kwargs)
        self.routes.append(
            Route(path=uri_template, operations={name: operation_of(found) for name, found in responders.items()})
        )


class _Router(CompiledRouter):
    def map_http_methods(self, resource: object, **kwargs: Any) -> Any:
        responders = _Responders(super().map_http_methods(resource, **kwargs))
        if "GET" in responders:
            responders.setdefault("HEAD", responders["GET"])
        return responders


register_router(_Router)(inspect_compiled_router)


class _Responders(dict[str, Any]):
    """A method that falcon has never heard of gets what every method gets that a path does not have."""

    def __missing__(self, method: str) -> Any:
        return self["TRACE"]
