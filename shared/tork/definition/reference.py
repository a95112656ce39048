"""The tables of keys in `docs/jobs.md`, made from the model classes so that the page can't fall behind them."""

from __future__ import annotations

import re
from typing import Any

from tork.definition.schema import job_schema

_TABLE = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)

SECTIONS = {
    "TaskDefinition": "task",
    "AuxTask": "pre and post",
    "Sidecar": "sidecar",
    "Probe": "probe",
    "Mount": "mount",
    "Retry": "retry",
    "Limits": "limits",
    "Registry": "registry",
    "Parallel": "parallel",
    "Each": "each",
    "SubJob": "subjob",
    "WebhookDefinition": "webhook",
    "PermissionDefinition": "permission",
    "AutoDelete": "autoDelete",
    "Defaults": "defaults",
    "Wait": "wait",
    "Schedule": "schedule",
}
"""The heading of the page under which a class is told."""


def with_key_tables(page: str) -> str:
    """The page, with the table after each marker made new."""
    definitions = job_schema()["$defs"]
    return _TABLE.sub(lambda found: f"{found[1]}{_table(found[2], definitions)}{found[3]}", page)


def _table(name: str, definitions: dict[str, Any]) -> str:
    definition = definitions[name]
    required = set(definition["required"]) | ({"name"} if name == "TaskDefinition" else set())
    rows = ["| Key | Value | What it is |", "| --- | --- | --- |"]
    for key, field in definition["properties"].items():
        mark = " (required)" if key in required else ""
        description = field["description"].replace("<", "\\<").replace("|", "\\|")
        rows.append(f"| `{key}` | {_kind(field)}{mark} | {description} |")
    return "\n".join(rows) + "\n"


def _kind(field: dict[str, Any]) -> str:
    """What to write there, in words."""
    for part in [field, *field.get("anyOf", [])]:
        if "$ref" in part:
            section = SECTIONS[part["$ref"].rpartition("/")[2]]
            return f"[{section}](#{section.lower().replace(' ', '-')})"
    if "enum" in field:
        words = [word for word in field["enum"] if word and word is not True]
        return "true or false" if True in field["enum"] else f"{', '.join(words[:-1])} or {words[-1]}"
    if "array" in field["type"]:
        return f"list of {_kind(field['items'])}"
    if "object" in field["type"]:
        return "names and texts"
    if "pattern" in field:
        return "duration"
    return "text" if "string" in field["type"] else "number"
