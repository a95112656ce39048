"""The page at `/docs`: the OpenAPI document as HTML, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --get: #2563eb; --post: #15803d; --put: #b45309; --delete: #b91c1c; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); }
nav a { display: block; color: inherit; text-decoration: none; padding: .1rem .3rem; border-radius: .2rem; }
nav a { font-size: 13px; overflow-wrap: anywhere; }
nav a:hover { background: var(--soft); }
nav h2 { font-size: 13px; margin: 1rem 0 .2rem; opacity: .7; }
main { padding: 1.5rem 2.5rem 6rem; max-width: 62rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
h1 { margin-top: 0; }
article { border: 1px solid var(--line); border-radius: .4rem; margin: 1rem 0; scroll-margin-top: 1rem; }
article > h3 { margin: 0; padding: .5rem .8rem; background: var(--soft); font-weight: 500; font-size: 15px; overflow-wrap: anywhere; }
article > div { padding: .3rem .8rem .8rem; overflow-x: auto; }
.get, .post, .put, .delete { font: 600 12px ui-monospace, monospace; display: inline-block; min-width: 4.2em; text-transform: uppercase; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
table { border-collapse: collapse; width: 100%; margin: .3rem 0; }
td { border-top: 1px solid var(--line); padding: .25rem .8rem .25rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; width: 1%; }
h4 { margin: .8rem 0 0; font-size: 13px; opacity: .7; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
"""


def page_of(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document of ours."""
    return "".join(_page(document))


def _page(document: dict[str, Any]) -> Iterator[str]:
    info, schemas = document["info"], document["components"]["schemas"]
    operations = [
        (path, method, said) for path, methods in document["paths"].items() for method, said in methods.items()
    ]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><body><nav>'
    yield from _contents(operations, schemas)
    yield f"</nav><main><h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
    yield '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
    for path, method, said in operations:
        yield from _operation(path, method, said, document)
    yield "<h2>Schemas</h2>"
    for name, schema in schemas.items():
        yield f'<article id="{_anchor(name)}"><h3><code>{escape(name)}</code></h3><div>{_described(schema)}'
        yield _fields(schema)
        yield "</div></article>"
    yield "</main></body></html>"


def _contents(operations: Iterable[tuple[str, str, Any]], schemas: Iterable[str]) -> Iterator[str]:
    heading = ""
    for path, method, said in operations:
        if said["tags"][0] != heading:
            heading = said["tags"][0]
            yield f"<h2>{escape(heading)}</h2>"
        yield f'<a href="#{said["operationId"]}"><span class="{method}">{method}</span> {escape(path)}</a>'
    yield "<h2>schemas</h2>"
    yield from (f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in schemas)


def _operation(path: str, method: str, said: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield f'<article id="{said["operationId"]}"><h3><span class="{method}">{method}</span> <code>{escape(path)}</code></h3><div>'
    yield f"<p>{escape(said.get('summary', ''))}</p>"
    parameters = [
        document["components"]["parameters"]["pretty"] if "$ref" in found else found for found in said["parameters"]
    ]
    if parameters:
        yield "<h4>Parameters</h4>"
        yield _table(
            (f"<code>{escape(found['name'])}</code>", found["in"], _kind(found["schema"]), escape(found["description"]))
            for found in parameters
        )
    if body := said.get("requestBody"):
        yield "<h4>Body</h4>"
        yield _content(body["content"])
    yield "<h4>Answers</h4>"
    yield _table(
        (f"<code>{status}</code>", escape(answer["description"]), _content(answer.get("content", {})))
        for status, answer in said["responses"].items()
    )
    yield "</div></article>"


def _content(content: dict[str, Any]) -> str:
    """The media types of each schema, on a line each."""
    by_kind: dict[str, list[str]] = {}
    for media, said in content.items():
        by_kind.setdefault(_kind(said["schema"]), []).append(f"<code>{escape(media)}</code>")
    return "<br>".join(f"{kind} as {', '.join(media)}" for kind, media in by_kind.items())


def _fields(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    required = schema.get("required", ())
    return _table(
        (
            f"<code>{escape(name)}</code>{'!' if name in required else ''}",
            _kind(field),
            escape(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    )


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in few words, with a link where more is said."""
    match schema:
        case {"$ref": str() as reference}:
            name = reference.rpartition("/")[2]
            return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
        case {"anyOf": list() as choices}:
            return " or ".join(_kind(choice) for choice in choices)
        case {"enum": list() as values}:
            return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"items": dict() as items}:
            return f"list of {_kind(items)}"
        case {"additionalProperties": dict() as values}:
            return f"object of {_kind(values)}"
        case _:
            kind = schema.get("type", "anything")
            kinds = [name for name in kind if name != "null"] if isinstance(kind, list) else [kind]
            return escape(str(schema.get("format") or " or ".join(kinds)))


def _described(schema: dict[str, Any]) -> str:
    return f"<p>{escape(schema['description'])}</p>" if schema.get("description") else ""


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _anchor(name: str) -> str:
    return f"schema-{escape(name)}"
