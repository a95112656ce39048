"""What an operation of the API takes and gives, said where it is carried out: `@operation(...)` above a responder.

The OpenAPI document is made of this and of the routes, so a path is neither served without being described nor described
without being served. Paths, methods and path parameters come from the route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tork.wire import Told

JSON = "application/json"
YAML = ("text/yaml", "application/yaml", "application/x-yaml")
EVENT_STREAM = "text/event-stream"
_MOST = 10**18 - 1
# numbers of more digits are refused

Responder = TypeVar("Responder", bound=Callable[..., object])


class Refusal(Told, frozen=True, kw_only=True):
    """Every answer that is not a good one. No good answer has a `message`."""

    message: str


class Done(Told, frozen=True, kw_only=True):
    """It was done, or will be."""

    status: Literal["OK"] = "OK"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What stands behind the `?`, or in a header. `schema` is JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """What is sent. `kind` is a type, or the name of a schema of its own."""

    kind: Any
    media: tuple[str, ...] = (JSON,)
    required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path."""

    summary: str
    answer: Any
    """The type of the JSON in a good answer; several in a tuple; None for an answer without a body."""
    media: str
    """Of a good answer."""
    texts: tuple[str, ...]
    """Other media types in which it is given to those who ask for them."""
    parameters: tuple[Parameter, ...]
    body: Body | None
    errors: tuple[int, ...]
    """Statuses beside the good one and those that any operation may have."""
    others: Mapping[int, Any]
    """The types of what is answered with a status in place of a refusal."""


def operation(
    summary: str,
    *,
    answer: Any = None,
    media: str = JSON,
    texts: tuple[str, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    body: Body | None = None,
    errors: tuple[int, ...] = (),
    others: Mapping[int, Any] | None = None,
) -> Callable[[Responder], Responder]:
    """Describe a responder. The fields are those of `Operation`."""
    described = Operation(
        summary=summary,
        answer=answer,
        media=media,
        texts=texts,
        parameters=parameters,
        body=body,
        errors=errors,
        others=others or {},
    )

    def describe(responder: Responder) -> Responder:
        responder.operation = described  # type: ignore[attr-defined] # functions take attributes
        return responder

    return describe


def operation_of(responder: object) -> Operation | None:
    """What was said of a responder."""
    found = getattr(responder, "operation", None)
    return found if isinstance(found, Operation) else None


def integer(name: str, description: str, **bounds: int) -> Parameter:
    """A number. One beyond what an endpoint takes is moved to the nearest that it does."""
    return Parameter(name=name, description=description, schema={"type": "integer", "maximum": _MOST} | bounds)


def text(name: str, description: str, *, place: Literal["query", "header"] = "query", **rules: Any) -> Parameter:
    """A text."""
    return Parameter(name=name, description=description, schema={"type": "string"} | rules, place=place)


def texts(name: str, description: str, one: Mapping[str, Any] | None = None) -> Parameter:
    """Texts, repeated or with commas between them."""
    return Parameter(name=name, description=description, schema={"type": "array", "items": one or {"type": "string"}})


def paging(*, default: int, most: int) -> tuple[Parameter, Parameter]:
    """`page` and `size` of a list."""
    return (
        integer("page", "The page, counted from 1", default=1),
        integer("size", f"How many at most, up to {most}", default=default),
    )


LAST_EVENT = text("Last-Event-ID", "Where to go on: the id of the last event that was seen", place="header")
LOG_PAGE = (*paging(default=25, most=100), text("q", "Words that the text of a part must all have"))
