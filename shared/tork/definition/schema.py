"""The JSON Schema of job files, for editors: made from the model classes, with the rules that a schema can say.

It describes what may be written, so a text may be any scalar: YAML's `cpus: .5` and `PORT: 8080` are right as they stand.
Every file that `read_job` accepts passes, but for empty keys (`run:` beside `each:`) and numbers in unusual spelling;
the reverse can't be had, since a schema knows no expressions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tork.definition import task_rules as rules
from tork.job import CatchUp, JobDefinition, Overlap
from tork.task import MAX_PRIORITY, OnFailure

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DURATION = r"^$|^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"
_TEXT = ["string", "number", "boolean", "null"]
_DURATION_KEYS = {"timeout", "after", "initialDelay"}

_REQUIRED = {
    "JobDefinition": ["name", "tasks"],
    "AuxTask": ["name"],
    "Sidecar": ["name"],
    "Mount": ["type"],
    "Parallel": ["tasks"],
    "Each": ["list", "task"],
    "SubJob": ["name", "tasks"],
    "Retry": ["limit"],
    "Probe": ["path", "port"],
    "WebhookDefinition": ["url"],
    "Wait": ["timeout"],
    "Schedule": ["cron"],
}

_BOUNDS: dict[tuple[str, str], dict[str, Any]] = {
    ("TaskDefinition", "priority"): {"minimum": 0, "exclusiveMaximum": MAX_PRIORITY + 1},
    ("TaskDefinition", "workdir"): {"maxLength": rules.MAX_WORKDIR},
    ("TaskDefinition", "var"): {"maxLength": rules.MAX_VAR},
    ("Defaults", "priority"): {"minimum": 0, "exclusiveMaximum": MAX_PRIORITY + 1},
    ("Retry", "limit"): {"minimum": 1, "exclusiveMaximum": rules.MAX_RETRIES + 1},
    ("Retry", "scalingFactor"): {"minimum": 0, "maximum": rules.MAX_SCALING_FACTOR},
    ("Each", "concurrency"): {"minimum": 0, "exclusiveMaximum": rules.MAX_CONCURRENCY + 1},
    ("Probe", "path"): {"maxLength": rules.MAX_PROBE_PATH},
    ("Probe", "port"): {"minimum": 1, "exclusiveMaximum": rules.MAX_PORT + 1},
    ("Each", "onFailure"): {"enum": ["", *OnFailure, None]},
    ("Parallel", "onFailure"): {"enum": ["", *OnFailure, None]},
    ("Schedule", "overlap"): {"enum": ["", *Overlap, None]},
    ("Schedule", "catchup"): {"enum": ["", *CatchUp, None]},
    ("JobDefinition", "tasks"): {"minItems": 1},
    ("JobDefinition", "webhooks"): {"maxItems": rules.MAX_WEBHOOKS},
    ("SubJob", "tasks"): {"minItems": 1},
    ("SubJob", "webhooks"): {"maxItems": rules.MAX_WEBHOOKS},
    ("Parallel", "tasks"): {"minItems": 1},
}
"""The exclusive maximum, since a fraction is cut off: 9.5 is read as 9."""

_NAMED_TASKS = {"JobDefinition", "SubJob"}
_COMPOSITES = ("parallel", "each", "subjob")


def job_schema() -> dict[str, Any]:
    """The schema of a job file, as plain values for JSON."""
    schema = msgspec.json.schema(JobDefinition)
    definitions = schema["$defs"]
    for name, definition in definitions.items():
        _complete(name, definition)
    _add_task_rules(definitions["TaskDefinition"])
    definitions["PermissionDefinition"]["oneOf"] = [{"required": ["user"]}, {"required": ["role"]}]
    definitions["JobDefinition"]["not"] = {"required": ["schedule", "wait"]}
    return {"$schema": DIALECT, "title": "A job of tork", **schema}


def _complete(name: str, definition: dict[str, Any]) -> None:
    definition["required"] = _REQUIRED.get(name, [])
    for key, field in definition["properties"].items():
        field.pop("default", None)
        field.update(_BOUNDS.get((name, key), {}))
        if key in _DURATION_KEYS and field.get("type") == "string":
            field["pattern"] = _DURATION
        if key == "tasks" and name in _NAMED_TASKS:
            field["items"]["required"] = ["name"]
        _widen(field)


def _widen(field: dict[str, Any]) -> None:
    """Allow every way to write the value: any scalar for a text, null for what may be left out."""
    written = {"string": _TEXT, "integer": ["number", "null"], "number": ["number", "null"]}
    kind = field.get("type")
    if kind == "boolean":
        del field["type"]
        field["enum"] = [True, False, None, *_words("y", "yes", "on"), *_words("n", "no", "off")]
    elif kind in {"array", "object"}:
        field["type"] = [kind, "null"]
        for inner in ("items", "additionalProperties"):
            if isinstance(field.get(inner), dict):
                _widen(field[inner])
    elif kind in written:
        field["type"] = written[kind]


def _words(*words: str) -> list[str]:
    return [form for word in words for form in dict.fromkeys((word, word.capitalize(), word.upper()))]


def _add_task_rules(task: dict[str, Any]) -> None:
    """One composite at most, and beside one nothing that only a regular task has."""
    pairs = [("parallel", "each"), ("parallel", "subjob"), ("each", "subjob")]
    task["allOf"] = [{"not": {"required": list(pair)}} for pair in pairs]
    task["if"] = {"anyOf": [{"required": [key]} for key in _COMPOSITES]}
    task["then"] = {"not": {"anyOf": [{"required": [key]} for key in rules.NOT_IN_COMPOSITES]}}
