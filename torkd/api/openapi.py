"""The OpenAPI document: made of the routes, of what is said at their responders, and of the model classes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from tork.definition import job_schema
from torkd.api.application import Route
from torkd.api.operations import JSON, Operation, Parameter, Refusal
from torkd.api.options import ApiOptions
from torkd.api.permissions import RULES, Access

JOB_FILE = "JobFile"
"""The schema of what is submitted: the one of job files, which allows every way to write a value."""
_REFERENCE = "#/components/schemas/{name}"
_ANY_OPERATION = (400, 500, 503)
"""What any request may come to: no proper HTTP, a failure of ours, a database that is away."""
_MEANINGS = {
    400: "Something of the request is wrong, or the state of what it is about forbids it",
    401: "Nobody is known by these credentials",
    403: "Not allowed to whoever asks",
    404: "There is no such thing",
    408: "It did not end in time; it goes on",
    410: "What the idempotency key was used for was removed",
    413: "The body is too large",
    422: "The idempotency key came with another body before",
    429: "Too many requests; Retry-After says when to try again",
    500: "A failure of the server; its log has the reason",
    503: "Something does not answer now; Retry-After says when to try again",
}
_PATH_PARAMETERS = {
    "job_id": "The id of a job",
    "task_id": "The id of a task",
    "schedule_id": "The id of a scheduled job",
    "name": "The name of a queue",
    "letter_id": "The id of a dead letter",
    "user": "The id or the name of a user, or `me`",
    "role": "The id or the slug of a role",
    "key": "The id or the name of a key",
}
_PRETTY = {
    "name": "pretty",
    "in": "query",
    "description": "Indents the JSON, whatever the value is",
    "allowEmptyValue": True,
    "schema": {"type": "string"},
}
_PAGE = re.compile(r"Page_(\w+)_")


def document_of(routes: Iterable[Route], *, version: str, options: ApiOptions) -> dict[str, Any]:
    """The document of these routes, as plain values for JSON. `options`: what they refuse depends on who is asked for what."""
    routes = sorted(routes, key=lambda route: route.path)
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method, operation in route.operations.items():
            paths.setdefault(route.path, {})[method.lower()] = _operation(
                route.path, method, operation, schemas, _refused(route.path, method, options)
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "torkd",
            "version": version,
            "description": "Runs jobs. Fields that are empty, 0 or false are left out of answers, but for those that are required here.",
        },
        "paths": paths,
        "components": {"schemas": schemas.components, "parameters": {"pretty": _PRETTY}},
    }


class _Schemas:
    """The schemas of all types that are sent or answered, and references to them."""

    def __init__(self, routes: Iterable[Route]) -> None:
        operations = [found for route in routes for found in route.operations.values() if found is not None]
        kinds = [kind for found in operations for kind in _kinds(found)]
        self._kinds = [*dict.fromkeys([*kinds, Refusal])]
        references, components = msgspec.json.schema_components(self._kinds, ref_template=_REFERENCE)
        self._references = [_with_short_names(reference) for reference in references]
        named = {_PAGE.sub(r"\1Page", name): _with_short_names(schema) for name, schema in components.items()}
        for schema in named.values():
            _tidy(schema)
        self.components = dict(sorted((named | _job_file()).items()))

    def of(self, kind: Any) -> Any:
        """The schema of a type, of several, or the one with a name."""
        if isinstance(kind, str):
            return {"$ref": _REFERENCE.format(name=kind)}
        if isinstance(kind, tuple):
            return {"anyOf": [self.of(each) for each in kind]}
        return self._references[self._kinds.index(kind)]


def _kinds(operation: Operation) -> list[Any]:
    """The types that it sends or answers."""
    sent = operation.body.kind if operation.body is not None else None
    kinds = [sent, *operation.others.values()]
    kinds += operation.answer if isinstance(operation.answer, tuple) else [operation.answer]
    return [kind for kind in kinds if kind is not None and not isinstance(kind, str)]


def _with_short_names(schema: Any) -> Any:
    """`JobSummaryPage` instead of `Page_JobSummary_`."""
    text = msgspec.json.encode(schema).decode()
    return msgspec.json.decode(_PAGE.sub(r"\1Page", text))


def _tidy(schema: dict[str, Any]) -> None:
    """What is left out is left out: it is neither null nor told with its default. Times are told as such."""
    for name, field in schema.get("properties", {}).items():
        field.pop("default", None)
        real = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
        if len(real) == 1:
            del field["anyOf"]
            field.update(real[0])
        if name.endswith("At") and field.get("type") == "string":
            field["format"] = "date-time"
    if schema.get("title", "").startswith("Page["):
        schema["title"] = f"{schema['title'][5:-1]}Page"


def _job_file() -> dict[str, Any]:
    """The schema of job files, under names of its own: values may be written there in more ways than they are answered."""
    text = msgspec.json.encode(job_schema()).decode().replace("#/$defs/", f"#/components/schemas/{JOB_FILE}.")
    schema = msgspec.json.decode(text.replace(f"{JOB_FILE}.JobDefinition", JOB_FILE))
    parts = {f"{JOB_FILE}.{name}": part for name, part in schema["$defs"].items()}
    return {JOB_FILE: parts.pop(f"{JOB_FILE}.JobDefinition"), **parts}


def _refused(path: str, method: str, options: ApiOptions) -> set[int]:
    """What a request may come to because of who sent it."""
    access = RULES[path][method].access if path in RULES else Access.SIGNED_IN
    refused = {429} if options.requests_per_second is not None else set()
    if options.asks_who and access is not Access.EVERYBODY:
        refused |= {401, 429}
        if access is Access.ADMIN:
            refused.add(403)
    return refused


def _operation(
    path: str, method: str, operation: Operation | None, schemas: _Schemas, refused: AbstractSet[int]
) -> dict[str, Any]:
    names = re.findall(r"{(\w+)", path)
    described: dict[str, Any] = {
        "operationId": "-".join([method.lower(), *re.findall(r"\w+", path)]),
        "tags": [path.split("/")[1]],
        "parameters": [_path_parameter(name) for name in names],
        "responses": {"default": _answer(schemas, "Not described", Refusal)},
    }
    if operation is None:
        return described
    described["summary"] = operation.summary
    described["parameters"] += [_parameter(parameter) for parameter in operation.parameters]
    if operation.media == JSON:
        described["parameters"].append({"$ref": "#/components/parameters/pretty"})
    statuses = {*operation.errors, *_ANY_OPERATION, *refused}
    statuses |= {*((404,) if names else ()), *((413,) if operation.body else ())}
    described["responses"] = {
        "200": _good(operation, schemas),
        **{
            str(status): _answer(schemas, _MEANINGS[status], operation.others.get(status, Refusal))
            for status in sorted(statuses)
        },
    }
    if operation.body is not None:
        schema = schemas.of(operation.body.kind)
        described["requestBody"] = {
            "required": operation.body.required,
            "content": {media: {"schema": schema} for media in operation.body.media},
        }
    return described


def _good(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    if operation.answer is None and operation.media == JSON:
        return {"description": "Done; the answer has no body"}
    schema = schemas.of(operation.answer) if operation.answer is not None else {"type": "string"}
    content = {operation.media: {"schema": schema}} | {text: {"schema": {"type": "string"}} for text in operation.texts}
    return {"description": operation.summary, "content": content}


def _answer(schemas: _Schemas, meaning: str, kind: Any) -> dict[str, Any]:
    return {"description": meaning, "content": {JSON: {"schema": schemas.of(kind)}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_PARAMETERS.get(name, ""),
        "schema": {"type": "string", "minLength": 1},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
